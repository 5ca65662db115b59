using System.Collections.Immutable;

namespace SpotServe.Actors.Simulation;

/// <summary>What one run gave. The same inputs give the same outcome, bit for bit.</summary>
/// <param name="Arrived">Requests that came before the end.</param>
/// <param name="Completed">Those that were done by the end, in the order of arrival.</param>
/// <param name="TokensGenerated">Of the completed requests.</param>
/// <param name="TokensRecomputed">Of all requests, prompt and output.</param>
/// <param name="MachineHours">That were paid for, by price per hour.</param>
public sealed record SimulationOutcome(
    string Policy,
    double EndSeconds,
    int Arrived,
    ImmutableArray<CompletedRequest> Completed,
    long TokensGenerated,
    long TokensRecomputed,
    ImmutableArray<Reconfigured> Reconfigurations,
    ImmutableArray<MachineHours> MachineHours,
    long Events)
{
    public double Cost => MachineHours.Sum(hours => hours.Hours * hours.PricePerHour);

    public double CostPerHour => EndSeconds > 0 ? Cost / (EndSeconds / 3600) : 0;

    /// <summary>Null when nothing was generated.</summary>
    public double? CostPerMillionTokens => TokensGenerated > 0 ? Cost / (TokensGenerated / 1e6) : null;

    /// <summary>Requests per second that were completed.</summary>
    public double Throughput => EndSeconds > 0 ? Completed.Length / EndSeconds : 0;

    public double PauseSeconds => Reconfigurations.Sum(change => change.Pause);

    public long MovedBytes => Reconfigurations.Sum(change => change.MovedBytes);

    /// <summary>Of the completed requests.</summary>
    public LatencySummary Latency => LatencySummary.Of(Completed.Select(request => request.Latency));

    /// <summary>Share of all that arrived that was answered within a target.</summary>
    public double Attainment(double targetSeconds) =>
        Arrived == 0 ? 1 : Completed.Count(request => request.Latency <= targetSeconds) / (double)Arrived;
}

/// <summary>A request that was answered.</summary>
public readonly record struct CompletedRequest(double ArrivedAt, double CompletedAt)
{
    public double Latency => CompletedAt - ArrivedAt;
}

/// <summary>Hours of machines of one price.</summary>
public sealed record MachineHours(string Kind, double Hours, double PricePerHour);

/// <summary>Latencies in seconds; NaN when there are none.</summary>
/// <param name="P99">sorted[int(0.99 n)], as the paper's artifact takes it; the other percentiles likewise.</param>
public readonly record struct LatencySummary(double Average, double P50, double P90, double P95, double P99)
{
    public static LatencySummary Of(IEnumerable<double> latencies)
    {
        var sorted = latencies.Order().ToArray();
        if (sorted.Length == 0) return new(double.NaN, double.NaN, double.NaN, double.NaN, double.NaN);
        return new(sorted.Average(), At(0.5), At(0.9), At(0.95), At(0.99));

        double At(double share) => sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))];
    }
}
