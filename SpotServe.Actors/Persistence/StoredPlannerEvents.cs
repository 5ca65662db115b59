using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Persistence;

/// <summary>The stored forms of the planner's events; see <see cref="StoredEvents"/>.</summary>
internal static class StoredPlannerEvents
{
    public static JournalSchema.Builder WritesPlannerEvents(this JournalSchema.Builder schema) => schema
        .Writes<PlannerEvents.PlannerStarted, PlannerStartedV1>("planner-started.1", PlannerStartedV1.Of)
        .Writes<PlannerEvents.LayoutDecided, LayoutDecidedV1>("layout-decided.1", LayoutDecidedV1.Of)
        .Writes<PlannerEvents.CutOverBegun, CutOverBegunV1>("cut-over-begun.1", CutOverBegunV1.Of)
        .Writes<PlannerEvents.LayoutActivated, LayoutActivatedV1>("layout-activated.1", LayoutActivatedV1.Of)
        .Writes<PlannerEvents.ReconfigurationEnded, ReconfigurationEndedV1>(
            "reconfiguration-ended.1", ReconfigurationEndedV1.Of)
        .Writes<PlannerEvents.CostsLearned, CostsLearnedV1>("costs-learned.1", CostsLearnedV1.Of)
        .Writes<PlannerEvents.ObjectiveChosen, ObjectiveChosenV1>("objective-chosen.1", ObjectiveChosenV1.Of)
        .Writes<PlannerEvents.FleetWished, FleetWishedV1>("fleet-wished.1", FleetWishedV1.Of)
        .Writes<PlannerEvents.PlannerCheckpoint, PlannerCheckpointV1>("planner-checkpoint.1", PlannerCheckpointV1.Of);

    private sealed record PlannerStartedV1(long Epoch, long Term, DateTimeOffset At) : IJournalForm
    {
        public static PlannerStartedV1 Of(PlannerEvents.PlannerStarted e) => new(e.Epoch.Value, e.Term, e.At);

        public object ToEvent() => new PlannerEvents.PlannerStarted(new Epoch(Epoch), Term, At);
    }

    private sealed record LayersV1(int First, int End);

    private sealed record DeviceV1(string Node, int Index);

    private sealed record LayoutDecidedV1(
        long Epoch, DateTimeOffset At, string Cause, int Replicas, int Stages, int Ranks, int BatchSize,
        LayersV1[] StageLayers, DeviceV1[] Placement) : IJournalForm
    {
        public static LayoutDecidedV1 Of(PlannerEvents.LayoutDecided e) => new(
            e.Epoch.Value, e.At, e.Cause, e.Layout.Degrees.Replicas, e.Layout.Degrees.Stages, e.Layout.Degrees.Ranks,
            e.Layout.Degrees.BatchSize, [.. e.Layout.StageLayers.Select(l => new LayersV1(l.First, l.End))],
            [.. e.Layout.Placement.Select(d => new DeviceV1(d.Node, d.Index))]);

        public object ToEvent() => new PlannerEvents.LayoutDecided(
            new Epoch(Epoch), At, Cause, new Layout(
                new LayoutDegrees(Replicas, Stages, Ranks, BatchSize),
                [.. StageLayers.Select(l => new LayerRange(l.First, l.End))],
                [.. Placement.Select(d => new DeviceId(d.Node, d.Index))]));
    }

    private sealed record LayoutActivatedV1(long Epoch, DateTimeOffset At) : IJournalForm
    {
        public static LayoutActivatedV1 Of(PlannerEvents.LayoutActivated e) => new(e.Epoch.Value, e.At);

        public object ToEvent() => new PlannerEvents.LayoutActivated(new Epoch(Epoch), At);
    }

    private sealed record CutOverBegunV1(long Epoch, DateTimeOffset At) : IJournalForm
    {
        public static CutOverBegunV1 Of(PlannerEvents.CutOverBegun e) => new(e.Epoch.Value, e.At);

        public object ToEvent() => new PlannerEvents.CutOverBegun(new Epoch(Epoch), At);
    }

    private sealed record DegreesV1(int Replicas, int Stages, int Ranks, int BatchSize)
    {
        public static DegreesV1 Of(LayoutDegrees d) => new(d.Replicas, d.Stages, d.Ranks, d.BatchSize);

        public LayoutDegrees ToDegrees() => new(Replicas, Stages, Ranks, BatchSize);
    }

    /// <summary>Times in seconds.</summary>
    private sealed record PhaseV1(string Name, double Start, double Duration);

    /// <summary>Times in seconds, sizes in bytes.</summary>
    private sealed record ReconfigurationEndedV1(
        long Epoch, string Cause, DateTimeOffset StartedAt, DegreesV1 To, PhaseV1[] Phases, long WeightsReused,
        long WeightsFromPeers, long WeightsFromFolder, long Pages, int Sequences, long TokensRecomputed, string Outcome,
        DegreesV1? From = null, double? Pause = null, int? NotHandedOver = null) : IJournalForm
    {
        public static ReconfigurationEndedV1 Of(PlannerEvents.ReconfigurationEnded e)
        {
            var r = e.Record;
            return new ReconfigurationEndedV1(
                r.Epoch.Value, r.Cause, r.StartedAt, DegreesV1.Of(r.To),
                [.. r.Phases.Select(p => new PhaseV1(p.Name, p.Start.TotalSeconds, p.Duration.TotalSeconds))],
                r.Weights.Reused, r.Weights.Peers, r.Weights.Folder, r.PageBytes, r.Sequences, r.TokensRecomputed,
                r.Outcome, r.From is { } from ? DegreesV1.Of(from) : null, r.Pause?.TotalSeconds,
                r.NotHandedOver > 0 ? r.NotHandedOver : null);
        }

        public object ToEvent() => new PlannerEvents.ReconfigurationEnded(new ReconfigurationRecord(
            new Epoch(Epoch), Cause, StartedAt, From?.ToDegrees(), To.ToDegrees(),
            [.. Phases.Select(p => new ReconfigurationPhase(
                p.Name, TimeSpan.FromSeconds(p.Start), TimeSpan.FromSeconds(p.Duration)))],
            new WeightSources(WeightsReused, WeightsFromPeers, WeightsFromFolder), Pages,
            Pause is { } pause ? TimeSpan.FromSeconds(pause) : null, Sequences, TokensRecomputed, Outcome)
        {
            NotHandedOver = NotHandedOver ?? 0,
        });
    }

    private sealed record ServingV1(long Epoch, DegreesV1 Degrees, LayersV1[] StageLayers, DeviceV1[] Placement)
    {
        public static ServingV1 Of(CheckpointedEpoch e) => new(
            e.Epoch.Value,
            DegreesV1.Of(e.Layout.Degrees),
            [.. e.Layout.StageLayers.Select(l => new LayersV1(l.First, l.End))],
            [.. e.Layout.Placement.Select(d => new DeviceV1(d.Node, d.Index))]);

        public CheckpointedEpoch ToEpoch() => new(new Epoch(Epoch), new Layout(
            Degrees.ToDegrees(),
            [.. StageLayers.Select(l => new LayerRange(l.First, l.End))],
            [.. Placement.Select(d => new DeviceId(d.Node, d.Index))]));
    }

    private sealed record CostsLearnedV1(long Epoch, DateTimeOffset At, CorrectionsV1 Corrections) : IJournalForm
    {
        public static CostsLearnedV1 Of(PlannerEvents.CostsLearned e) =>
            new(e.Epoch.Value, e.At, CorrectionsV1.Of(e.Corrections));

        public object ToEvent() => new PlannerEvents.CostsLearned(new Epoch(Epoch), At, Corrections.ToCorrections());
    }

    private sealed record ObjectiveChosenV1(long Epoch, DateTimeOffset At, ChoiceV1 Choice) : IJournalForm
    {
        public static ObjectiveChosenV1 Of(PlannerEvents.ObjectiveChosen e) =>
            new(e.Epoch.Value, e.At, ChoiceV1.Of(e.Choice));

        public object ToEvent() => new PlannerEvents.ObjectiveChosen(new Epoch(Epoch), At, Choice.ToChoice());
    }

    private sealed record FleetWishedV1(long Epoch, DateTimeOffset At, WishV1 Wish) : IJournalForm
    {
        public static FleetWishedV1 Of(PlannerEvents.FleetWished e) => new(e.Epoch.Value, e.At, WishV1.Of(e.Wish));

        public object ToEvent() => new PlannerEvents.FleetWished(new Epoch(Epoch), At, Wish.ToWish());
    }

    private sealed record PlannerCheckpointV1(
        long Epoch, long Term, DateTimeOffset At, ReconfigurationEndedV1[] Timeline, ServingV1? Serving = null,
        CorrectionsV1? Corrections = null, ChoiceV1? Choice = null, WishV1? Wish = null)
        : IJournalForm
    {
        public static PlannerCheckpointV1 Of(PlannerEvents.PlannerCheckpoint e) => new(
            e.Epoch.Value,
            e.Term,
            e.At,
            [.. e.Timeline.Select(record => ReconfigurationEndedV1.Of(new(record)))],
            e.Serving is { } serving ? ServingV1.Of(serving) : null,
            e.Corrections.ByShape.IsEmpty ? null : CorrectionsV1.Of(e.Corrections),
            e.Choice is { } choice ? ChoiceV1.Of(choice) : null,
            e.Wish is { } wish ? WishV1.Of(wish) : null);

        public object ToEvent() => new PlannerEvents.PlannerCheckpoint(
            new Epoch(Epoch),
            Term,
            At,
            Serving?.ToEpoch(),
            [.. Timeline.Select(ended => ((PlannerEvents.ReconfigurationEnded)ended.ToEvent()).Record)])
        {
            Corrections = Corrections?.ToCorrections() ?? CostCorrections.None,
            Choice = Choice?.ToChoice(),
            Wish = Wish?.ToWish(),
        };
    }
}
