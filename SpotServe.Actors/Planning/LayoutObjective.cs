namespace SpotServe.Actors.Planning;

/// <summary>What layouts are chosen for, while nobody asks for certain degrees.</summary>
/// <param name="Kind">Which of two layouts is the better one.</param>
public sealed record LayoutObjective(Objective Kind)
{
    /// <summary>Of <see cref="Objective.Slo"/>: time in which a request is to be answered.</summary>
    public TimeSpan SloTarget { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Of <see cref="Objective.Slo"/>: share of requests that are to meet it.</summary>
    public double SloShare { get; init; } = 0.99;

    public override string ToString() => Kind == Objective.Slo
        ? FormattableString.Invariant($"{SloShare:P1} of requests within {SloTarget.TotalSeconds:0.###} s")
        : Kind == Objective.Latency ? "least latency" : "most throughput";
}
