using System.Globalization;
using Spectre.Console;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Commands;

/// <summary>A plan as a person reads it.</summary>
internal sealed class PlanReport(IAnsiConsole console, int stepsMax)
{
    private const int BusyLinksMax = 4;

    private static readonly string[] AlternativeColumns =
        ["D,P,M", "B", "Latency s", "Waiting s", "Requests/s", "Cost/h", "Instances", "Memory", "In target"];

    public void Write(PlanningInputs inputs, Reconfiguration plan)
    {
        Chosen(inputs, plan);
        if (plan.Selected.Search is { } search) Alternatives(search);
        Positions(inputs, plan);
        Steps(plan.Migration);
        Summary(plan, inputs.Links);
    }

    private void Chosen(PlanningInputs inputs, Reconfiguration plan)
    {
        var degrees = plan.Layout.Degrees;
        Line($"{inputs.Model.Name}, {Sizes.Text(new SliceGeometry(inputs.Model).WeightBytes)} of weights, on "
            + $"{inputs.Instances.Length} instances with {inputs.Instances.Sum(i => i.DeviceCount)} devices");
        var layout = $"Layout (D,P,M) = {degrees} with B = {degrees.BatchSize}";
        if (plan.Selected.Search is not { Chosen: var chosen } search)
        {
            Line(inputs.Wanted == degrees
                ? $"{layout}: asked for"
                : $"{layout}: one replica over the devices, whatever the load (there is no objective)");
            return;
        }

        Line($"{layout}: latency {Number(chosen.LatencySeconds)} s ({Number(chosen.ExecutionSeconds)} s running, "
            + $"{Number(chosen.WaitSeconds)} s waiting), {Number(chosen.Throughput)} requests/s, "
            + $"{Number(chosen.CostPerHour, "0.00")} per hour, {search.SpareInstances} instances spare");
        if (search.Fit != LoadFit.Roomy)
        {
            Line(search.IsOverloaded
                ? "Nothing that fits serves this load or meets the target: this comes closest. Add instances."
                : "Nothing that fits has room for more than this load: this has most. Add instances.");
        }
    }

    private void Alternatives(SearchResult search)
    {
        var table = Titled($"Alternatives: the best {search.Alternatives.Length} of {search.Considered}");
        foreach (var column in AlternativeColumns)
        {
            table.AddColumn(new TableColumn(column) { Alignment = Justify.Right, NoWrap = true });
        }

        foreach (var candidate in search.Alternatives)
        {
            Row(
                table,
                candidate.Degrees.ToString(),
                Number(candidate.Degrees.BatchSize, "0"),
                Number(candidate.LatencySeconds),
                Number(candidate.WaitSeconds),
                Number(candidate.Throughput),
                Number(candidate.CostPerHour, "0.00"),
                Number(candidate.InstanceCount, "0"),
                Sizes.Text(candidate.MemoryBytes),
                Number(candidate.InTargetProbability));
        }

        console.Write(table);
    }

    private void Positions(PlanningInputs inputs, Reconfiguration plan)
    {
        var layout = plan.Mapping.Layout;
        var table = Titled($"Mapping: {Sizes.Text(plan.Mapping.ReusedBytes)} stay where they are");
        foreach (var column in new[] { "Replica", "Stage", "Layers", "Ready after", "Devices by rank" })
        {
            table.AddColumn(new TableColumn(column) { NoWrap = column != "Devices by rank" });
        }

        for (var stage = 0; stage < layout.StageLayers.Length; stage++)
        {
            var ranks = layout.Degrees.Ranks;
            Row(
                table,
                Number(stage / layout.Degrees.Stages, "0"),
                Number(stage % layout.Degrees.Stages, "0"),
                layout.StageLayers[stage].ToString(),
                Sizes.Text(plan.Migration.StageStart[stage]),
                string.Join(' ', layout.Placement.Skip(stage * ranks).Take(ranks)));
        }

        console.Write(table);
        if (plan.Mapping.Levels == MappingLevels.One && inputs.Levels == MappingLevels.Two)
        {
            Line("The machines do not divide into groups of positions: mapped device by device.");
        }
    }

    private void Steps(MigrationPlan plan)
    {
        var shown = Math.Min(stepsMax, plan.Steps.Length);
        var table = Titled(shown < plan.Steps.Length
            ? $"Migration: the first {shown} of {plan.Steps.Length} steps (--steps shows more)"
            : $"Migration: {plan.Steps.Length} steps");
        foreach (var column in new[] { "#", "Begins", "Ends", "Step", "After" }) table.AddColumn(column);
        foreach (var step in plan.Steps.Take(shown))
        {
            Row(
                table,
                Number(step.Id, "0"),
                Sizes.Text(step.Start),
                Sizes.Text(step.Finish),
                step.ToString(),
                step.After.Length > 4 ? $"{step.After.Length} steps" : string.Join(' ', step.After));
        }

        console.Write(table);
    }

    private void Summary(Reconfiguration plan, LinkRates links)
    {
        var (migration, moved) = (plan.Migration, plan.Migration.Moved);
        Line($"Moves {Sizes.Text(moved.Total)}: {Sizes.Text(moved.InterNode)} between nodes, "
            + $"{Sizes.Text(moved.IntraNode)} within, {Sizes.Text(moved.Disk)} from disks, "
            + $"{Sizes.Text(moved.Store)} from the store");
        foreach (var load in migration.LinkLoads(links).Take(BusyLinksMax))
        {
            var (busy, bytes) = (Sizes.Text(load.Busy), Sizes.Text(load.Bytes));
            Line($"  busy: {load.Node} {PlanText.Link(load.Link)} for {busy} with {bytes}");
        }

        Line(migration.Mode == MigrationMode.CopyWhileServing
            ? $"Copies while serving for {Sizes.Text(migration.PreCopy)}, then a pause of {Sizes.Text(migration.Pause)}"
            : $"Stops for {Sizes.Text(migration.Pause)}");
        Line($"Peak memory {Sizes.Text(migration.PeakBytes.Max())} on one device");
        if (plan.Inherited.Dropped.Length > 0)
        {
            Line($"{plan.Inherited.Dropped.Length} requests do not fit or lost their cache: computed anew");
        }

        foreach (var note in migration.Notes) Line(note);
        Line(PlanText.CutOver(plan.CutOver));
    }

    private static Table Titled(string title) =>
        new Table { Title = new TableTitle(Markup.Escape(title)) }.Border(TableBorder.Simple);

    private static void Row(Table table, params string[] cells) =>
        table.AddRow(cells.Select(cell => new Text(cell)));

    private void Line(string text) => console.WriteLine(text);

    private static string Number(double value, string format = "0.000") =>
        double.IsInfinity(value) ? "never" : value.ToString(format, CultureInfo.InvariantCulture);
}

/// <summary>Decisions in words.</summary>
internal static class PlanText
{
    public static string Link(NodeLink link) => link switch
    {
        NodeLink.Out => "sends",
        NodeLink.In => "receives",
        NodeLink.Within => "copies between its devices",
        NodeLink.Disk => "reads its disk",
        NodeLink.Store => "reads the store",
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    public static string CutOver(CutOver cutOver) => cutOver switch
    {
        CutOver.AfterSteps cut =>
            $"Cut-over after {cut.Steps} more steps, in {Sizes.Text(cut.At)}, pausing for {Sizes.Text(cut.Pause)}: "
            + cut.Reason,
        CutOver.Reroute reroute => $"Requests are rerouted: {reroute.Reason}",
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
