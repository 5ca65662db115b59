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
                $"| {layout.Degrees} | {Times(layout.Low)} | {Latency(layout, Low)} | {Times(layout.High)} | "
                + $"{Latency(layout, High)} | {layout.Full.RequestsPerSecond * Sizes.OutputTokens:0} | "
                + $"{Tokens(cold)} / {Tokens(warm)} |");

            string Tokens(RegretChoice choice) => choice.Predicted(High, layout.Degrees) is { } expected
                ? (expected.Throughput * Sizes.OutputTokens).ToString("0", CultureInfo.InvariantCulture)
                : "none";
        }

        text.AppendLine().AppendLine("""
            | Objective and load | chosen at the start | costs | chosen with step times | costs | best measured |
            | --- | --- | --- | --- | --- | --- |
            """);
        foreach (var row in Choices(cold, warm)) text.AppendLine(row);
        return text.ToString();

        string Latency(MeasuredLayout layout, Workload load) =>
            $"{Ms(cold.Predicted(load, layout.Degrees)?.LatencySeconds)} / "
            + Ms(warm.Predicted(load, layout.Degrees)?.LatencySeconds);
    }

    private string Head()
    {
        var kind = Warm.Instances[0].Kind;
        var taught = Warm.Corrections.ByShape.Select(one => string.Create(
            CultureInfo.InvariantCulture, $"M = {one.Ranks}, batch {one.BatchSize}: x {one.Step:0.00}"));
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

    /// <summary>Share by which a choice is worse than the best that was measured: of mean latency, or of
    /// tokens.</summary>
    public double Regret(Objective objective, bool isHigh, LayoutDegrees chosen)
    {
        var best = Best(objective, isHigh);
        var own = Layouts.Single(layout => IsSame(layout.Degrees, chosen));
        return objective == Objective.Throughput
            ? (best.Full.RequestsPerSecond / own.Full.RequestsPerSecond) - 1
            : (Met(own, isHigh).Mean / Met(best, isHigh).Mean) - 1;
    }

    public MeasuredLayout Best(Objective objective, bool isHigh) => objective == Objective.Throughput
        ? Layouts.MaxBy(layout => layout.Full.RequestsPerSecond)!
        : Layouts.MinBy(layout => Met(layout, isHigh).Mean)!;

    private IEnumerable<string> Choices(RegretChoice cold, RegretChoice warm)
    {
        yield return Row("least latency, low", Objective.Latency, isHigh: false);
        yield return Row("least latency, high", Objective.Latency, isHigh: true);
        yield return Row("most throughput, full", Objective.Throughput, isHigh: true);

        string Row(string name, Objective objective, bool isHigh)
        {
            var load = isHigh ? High : Low;
            var (first, later) = (cold.Chosen(objective, load), warm.Chosen(objective, load));
            var best = Best(objective, isHigh).Degrees;
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
