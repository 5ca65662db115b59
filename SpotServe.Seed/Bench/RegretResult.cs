using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Bench;

/// <summary>What a layout did under the three loads.</summary>
internal sealed record MeasuredLayout(LayoutDegrees Degrees, MetLoad Full)
{
    public MetLoad? Low { get; init; }

    public MetLoad? High { get; init; }
}

/// <summary>What a layout did under one load that it was measured with again.</summary>
internal sealed record FinalLayout(LayoutDegrees Degrees, MetLoad Met);

/// <summary>All layouts of one model, as they were measured and as the planner expects them. Pure.</summary>
/// <param name="Low">The low load, as the planner is told it.</param>
/// <param name="High">Requests come as often as 0.6 of the best layout's full load.</param>
/// <param name="Cold">What the planner knew before anything was served: what devices measured of themselves.</param>
/// <param name="Warm">And with what step times have taught it since.</param>
internal sealed record RegretResult(
    string Model,
    RequestSizes Sizes,
    ImmutableArray<MeasuredLayout> Layouts,
    Workload Low,
    Workload High,
    PlanningInputs Cold,
    PlanningInputs Warm)
{
    /// <summary>What a choice may cost, against the best that was measured.</summary>
    public const double RegretGoal = 0.15;

    /// <summary>The low load again, for longer.</summary>
    public ImmutableArray<FinalLayout> LowFinal { get; init; } = [];

    /// <summary>And the high one.</summary>
    public ImmutableArray<FinalLayout> HighFinal { get; init; } = [];

    public Workload LoadOf(bool isHigh) => isHigh ? High : Low;

    /// <summary>What is worth another look under a load: the layouts that came first, those that are expected to, and
    /// what the planner chooses.</summary>
    public ImmutableArray<LayoutDegrees> Finalists(bool isHigh, int first) =>
    [
        .. Layouts.OrderBy(layout => Met(layout, isHigh).Mean).Take(first)
            .Concat(Layouts.OrderBy(layout => Expected(layout.Degrees, isHigh)).Take(first))
            .Select(layout => layout.Degrees)
            .Append(new RegretChoice(Cold).Chosen(Objective.Latency, LoadOf(isHigh)))
            .Append(new RegretChoice(Warm).Chosen(Objective.Latency, LoadOf(isHigh)))
            .DistinctBy(degrees => (degrees.Replicas, degrees.Stages, degrees.Ranks)),
    ];

    private double Expected(LayoutDegrees degrees, bool isHigh) =>
        new RegretChoice(Warm).Predicted(LoadOf(isHigh), degrees)?.LatencySeconds ?? double.PositiveInfinity;

    /// <summary>Tables in Markdown: the layouts, then the choices.</summary>
    public string Text()
    {
        var text = new StringBuilder(Head());
        var (cold, warm) = (new RegretChoice(Cold), new RegretChoice(Warm));
        text.AppendLine().AppendLine(
            "| Layout | low: mean, p50, p99 ms | expected | high: mean, p50, p99 ms | expected | "
            + "full: tokens/s | expected |");
        text.AppendLine("| --- | --- | --- | --- | --- | --- | --- |");
        foreach (var layout in Layouts)
        {
            text.AppendLine(CultureInfo.InvariantCulture,
                $"| {layout.Degrees} | {Times(layout.Low)} | {Latency(layout.Degrees, Low)} | {Times(layout.High)} | "
                + $"{Latency(layout.Degrees, High)} | {layout.Full.RequestsPerSecond * Sizes.OutputTokens:0} | "
                + $"{Tokens(cold)} / {Tokens(warm)} |");

            string Tokens(RegretChoice choice) => choice.Predicted(High, layout.Degrees) is { } expected
                ? (expected.Throughput * Sizes.OutputTokens).ToString("0", CultureInfo.InvariantCulture)
                : "none";
        }

        text.AppendLine().AppendLine("""
            | Load, again in turns | layout | mean, p50, p99 ms | expected |
            | --- | --- | --- | --- |
            """);
        foreach (var (name, load, final) in new[] { ("low", Low, LowFinal), ("high", High, HighFinal) })
        {
            foreach (var one in final)
            {
                text.AppendLine(CultureInfo.InvariantCulture,
                    $"| {name} | {one.Degrees} | {Times(one.Met)} | {Latency(one.Degrees, load)} |");
            }
        }

        text.AppendLine().AppendLine("""
            | Objective and load | chosen at the start | costs | chosen with step times | costs | best measured |
            | --- | --- | --- | --- | --- | --- |
            """);
        foreach (var row in Choices(cold, warm)) text.AppendLine(row);
        return text.ToString();

        string Latency(LayoutDegrees degrees, Workload load) =>
            $"{Ms(cold.Predicted(load, degrees)?.LatencySeconds)} / "
            + Ms(warm.Predicted(load, degrees)?.LatencySeconds);
    }

    private string Head()
    {
        var kind = Warm.Instances[0].Kind;
        var taught = Warm.Corrections.ByShape.Select(one => string.Create(
            CultureInfo.InvariantCulture,
            $"M = {one.Ranks}, demand {Math.Pow(2, one.Demand / 2.0):0.0}, batch {one.BatchSize}: x {one.Step:0.00}"));
        return string.Create(CultureInfo.InvariantCulture, $"""
            {Model}, {Warm.Instances.Length} nodes of {kind.Name}, crowding {kind.Crowding:0.##}, which measured
            {kind.WeightBytesPerSecond / 1e9:0.0} GB/s, {kind.FlopsPerSecond / 1e9:0} GFLOP/s and
            {kind.LayerOverheadSeconds * 1e6:0} us a layer. Prompts of {Sizes.PromptTokens} tokens, answers of
            {Sizes.OutputTokens}. Low load {Low.RequestsPerSecond:0.00} requests/s, high {High.RequestsPerSecond:0.00},
            full {Warm.Instances.Length * Sizes.BatchMax} clients that ask again at once, {Sizes.BatchMax} of which a
            replica serves together. Expected: from what devices measured of themselves /
            corrected by step times ({string.Join(", ", taught)}).

            """);
    }

    /// <summary>Share by which a choice is worse than the best that was measured: of mean latency, as it was measured
    /// again, or of tokens.</summary>
    public double Regret(Objective objective, bool isHigh, LayoutDegrees chosen)
    {
        var (own, best) = (Measured(objective, isHigh, chosen), Measured(objective, isHigh, Best(objective, isHigh)));
        return objective == Objective.Throughput
            ? (best.RequestsPerSecond / own.RequestsPerSecond) - 1
            : (own.Mean / best.Mean) - 1;
    }

    public LayoutDegrees Best(Objective objective, bool isHigh) => objective == Objective.Throughput
        ? Layouts.MaxBy(layout => layout.Full.RequestsPerSecond)!.Degrees
        : (isHigh ? HighFinal : LowFinal).MinBy(layout => layout.Met.Mean)!.Degrees;

    private MetLoad Measured(Objective objective, bool isHigh, LayoutDegrees degrees) =>
        objective == Objective.Throughput
            ? Layouts.Single(layout => IsSame(layout.Degrees, degrees)).Full
            : (isHigh ? HighFinal : LowFinal).Single(layout => IsSame(layout.Degrees, degrees)).Met;

    private IEnumerable<string> Choices(RegretChoice cold, RegretChoice warm)
    {
        yield return Row("least latency, low", Objective.Latency, isHigh: false);
        yield return Row("least latency, high", Objective.Latency, isHigh: true);
        yield return Row("most throughput, full", Objective.Throughput, isHigh: true);

        string Row(string name, Objective objective, bool isHigh)
        {
            var load = LoadOf(isHigh);
            var (first, later) = (cold.Chosen(objective, load), warm.Chosen(objective, load));
            var best = Best(objective, isHigh);
            return $"| {name} | {first} | {Costs(first)} | {later} | {Costs(later)} | {best} |";

            string Costs(LayoutDegrees chosen)
            {
                var regret = Regret(objective, isHigh, chosen);
                return regret.ToString("+0 %;-0 %;0 %", CultureInfo.InvariantCulture)
                    + (regret > RegretGoal ? " (more than 15 %)" : "");
            }
        }
    }

    private static bool IsSame(LayoutDegrees one, LayoutDegrees other) =>
        (one.Replicas, one.Stages, one.Ranks) == (other.Replicas, other.Stages, other.Ranks);

    private static MetLoad Met(MeasuredLayout layout, bool isHigh) => (isHigh ? layout.High : layout.Low)
        ?? throw new InvalidOperationException($"{layout.Degrees} was not measured.");

    private static string Times(MetLoad? met) => met is null
        ? "not measured"
        : $"{Ms(met.Mean)}, {Ms(met.Quantile(0.5))}, {Ms(met.Quantile(0.99))} of {met.Latencies.Length}"
        + (met.Unanswered > 0 ? $", {met.Unanswered} unanswered" : "");

    private static string Ms(double? seconds) => seconds switch
    {
        null => "none",
        double.PositiveInfinity => "too much",
        { } some => (some * 1000).ToString("0", CultureInfo.InvariantCulture),
    };
}
