using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Persistence;

/// <summary>Parts of the planner's stored events: what it learned, what was chosen, which machines it wants.</summary>
internal sealed record CorrectionV1(
    int Ranks, string Kind, double Step, double Prefill, int? Batch = null, double? Seconds = null, int? Demand = null)
{
    public static CorrectionV1 Of(CostCorrection c) => new(
        c.Ranks,
        c.Kind,
        c.Step,
        c.Prefill,
        c.BatchSize == 1 ? null : c.BatchSize,
        c.Seconds < CorrectedCostModel.RememberedSeconds ? c.Seconds : null,
        c.Demand == 0 ? null : c.Demand);

    public CostCorrection ToCorrection() => new(Ranks, Kind, Step, Prefill)
    {
        BatchSize = Batch ?? 1,
        Seconds = Seconds ?? CorrectedCostModel.RememberedSeconds,
        Demand = Demand ?? 0,
    };
}

internal sealed record CorrectionsV1(CorrectionV1[] ByShape, double Step, double Prefill)
{
    public static CorrectionsV1 Of(CostCorrections c) => new(
        [.. c.ByShape.Select(CorrectionV1.Of)], c.Step, c.Prefill);

    public CostCorrections ToCorrections() => new(
        [.. ByShape.Select(one => one.ToCorrection())], Step, Prefill);
}

/// <param name="SloTarget">In seconds.</param>
internal sealed record ObjectiveV1(string Kind, double SloTarget, double SloShare)
{
    public static ObjectiveV1 Of(LayoutObjective o) => new(NameOf(o.Kind), o.SloTarget.TotalSeconds, o.SloShare);

    public LayoutObjective ToObjective() => new(Kind switch
    {
        "latency" => Objective.Latency,
        "throughput" => Objective.Throughput,
        "slo" => Objective.Slo,
        _ => throw new JournalFormatException($"The journal has an unknown objective \"{Kind}\"."),
    })
    {
        SloTarget = TimeSpan.FromSeconds(SloTarget),
        SloShare = SloShare,
    };

    private static string NameOf(Objective kind) => kind switch
    {
        Objective.Latency => "latency",
        Objective.Throughput => "throughput",
        Objective.Slo => "slo",
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}

internal sealed record ChoiceV1(ObjectiveV1? Chosen = null, ObjectiveV1? Stated = null)
{
    public static ChoiceV1 Of(ChosenObjective c) => new(
        c.Chosen is { } chosen ? ObjectiveV1.Of(chosen) : null, c.Stated is { } stated ? ObjectiveV1.Of(stated) : null);

    public ChosenObjective ToChoice() => new(Chosen?.ToObjective(), Stated?.ToObjective());
}

internal sealed record AdditionV1(string InstanceType, string Kind, int DevicesEach, int Count, int AtOnce);

internal sealed record WishV1(
    int Replicas, int Stages, int Ranks, int BatchSize, int Needed, int Spares, int Present, string[] Release,
    string Reason, AdditionV1? Add = null, bool? ForLoad = null)
{
    public static WishV1 Of(FleetWish w) => new(
        w.Wanted.Replicas, w.Wanted.Stages, w.Wanted.Ranks, w.Wanted.BatchSize, w.Needed, w.Spares, w.Present,
        [.. w.Release], w.Reason,
        w.Add is { } add
            ? new AdditionV1(add.InstanceType, add.Kind, add.DevicesEach, add.Count, add.AtOnce)
            : null,
        w.IsForLoad ? true : null);

    public FleetWish ToWish() => new(
        new LayoutDegrees(Replicas, Stages, Ranks, BatchSize), Needed, Spares, Present,
        Add is { } add
            ? new FleetAddition(add.InstanceType, add.Kind, add.DevicesEach, add.Count, add.AtOnce)
            : null,
        [.. Release], Reason)
    {
        IsForLoad = ForLoad ?? false,
    };
}
