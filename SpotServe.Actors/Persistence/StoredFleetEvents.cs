using SpotServe.Actors.Fleet;

namespace SpotServe.Actors.Persistence;

/// <summary>The stored forms of the fleet manager's events; see <see cref="StoredEvents"/>.</summary>
internal static class StoredFleetEvents
{
    public static JournalSchema.Builder WritesFleetEvents(this JournalSchema.Builder schema) => schema
        .Writes<FleetEvents.FleetBegun, FleetBegunV1>("fleet-begun.1", e => new(e.At, e.Cluster, e.MachinesMin))
        .Writes<FleetEvents.SizeChosen, SizeChosenV1>("fleet-size-chosen.1", e => new(e.At, e.Size))
        .Writes<FleetEvents.LaunchOrdered, LaunchOrderedV1>("launch-ordered.1", LaunchOrderedV1.Of)
        .Writes<FleetEvents.LaunchAnswered, LaunchAnsweredV1>(
            "launch-answered.1", e => new(e.At, e.Token, e.Machine, e.Pool is { } pool ? PoolV1.Of(pool) : null))
        .Writes<FleetEvents.LaunchRefused, LaunchRefusedV1>(
            "launch-refused.1", e => new(e.At, e.Token, e.PoolUntil, e.Reason))
        .Writes<FleetEvents.MachineFound, MachineFoundV1>("machine-found.1", MachineFoundV1.Of)
        .Writes<FleetEvents.ReleaseBegun, ReleaseBegunV1>(
            "machine-release-begun.1", e => new(e.At, e.Machine, e.Deadline, e.Reason))
        .Writes<FleetEvents.TerminationOrdered, TerminationOrderedV1>(
            "machine-termination-ordered.1", e => new(e.At, e.Machine, e.Reason))
        .Writes<FleetEvents.MachineGone, MachineGoneV1>(
            "machine-gone.1", e => new(e.At, e.Machine, e.IsLoss, e.Reason, e.PoolUntil))
        .Writes<FleetEvents.FleetCheckpoint, FleetCheckpointV1>("fleet-checkpoint.1", FleetCheckpointV1.Of);

    private sealed record FleetBegunV1(DateTimeOffset At, string Cluster, int MachinesMin) : IJournalForm
    {
        public object ToEvent() => new FleetEvents.FleetBegun(At, Cluster, MachinesMin);
    }

    private sealed record SizeChosenV1(DateTimeOffset At, int Size) : IJournalForm
    {
        public object ToEvent() => new FleetEvents.SizeChosen(At, Size);
    }

    private sealed record PoolV1(string InstanceType, string Zone, bool IsSpot)
    {
        public static PoolV1 Of(MachinePool p) => new(p.InstanceType, p.Zone, p.IsSpot);

        public MachinePool ToPool() => new(InstanceType, Zone, IsSpot);
    }

    private sealed record LaunchOrderedV1(
        DateTimeOffset At, string Token, PoolV1 Pool, double PricePerHour, string Reason,
        PoolV1[]? Alternatives = null) : IJournalForm
    {
        public static LaunchOrderedV1 Of(FleetEvents.LaunchOrdered e) => new(
            e.At, e.Token, PoolV1.Of(e.Pool), e.PricePerHour, e.Reason,
            e.Alternatives.IsEmpty ? null : [.. e.Alternatives.Select(PoolV1.Of)]);

        public FleetEvents.LaunchOrdered ToOrdered() => new(At, Token, Pool.ToPool(), PricePerHour, Reason)
        {
            Alternatives = [.. (Alternatives ?? []).Select(pool => pool.ToPool())],
        };

        public object ToEvent() => ToOrdered();
    }

    private sealed record LaunchAnsweredV1(DateTimeOffset At, string Token, string Machine, PoolV1? Pool = null)
        : IJournalForm
    {
        public object ToEvent() => new FleetEvents.LaunchAnswered(At, Token, Machine, Pool?.ToPool());
    }

    private sealed record LaunchRefusedV1(DateTimeOffset At, string Token, DateTimeOffset PoolUntil, string Reason)
        : IJournalForm
    {
        public object ToEvent() => new FleetEvents.LaunchRefused(At, Token, PoolUntil, Reason);
    }

    private sealed record MachineFoundV1(
        DateTimeOffset At, string Machine, string Token, PoolV1 Pool, double PricePerHour) : IJournalForm
    {
        public static MachineFoundV1 Of(FleetEvents.MachineFound e) =>
            new(e.At, e.Machine, e.Token, PoolV1.Of(e.Pool), e.PricePerHour);

        public object ToEvent() => new FleetEvents.MachineFound(At, Machine, Token, Pool.ToPool(), PricePerHour);
    }

    private sealed record ReleaseBegunV1(DateTimeOffset At, string Machine, DateTimeOffset Deadline, string Reason)
        : IJournalForm
    {
        public object ToEvent() => new FleetEvents.ReleaseBegun(At, Machine, Deadline, Reason);
    }

    private sealed record TerminationOrderedV1(DateTimeOffset At, string Machine, string Reason) : IJournalForm
    {
        public object ToEvent() => new FleetEvents.TerminationOrdered(At, Machine, Reason);
    }

    private sealed record MachineGoneV1(
        DateTimeOffset At, string Machine, bool IsLoss, string Reason, DateTimeOffset? PoolUntil = null)
        : IJournalForm
    {
        public object ToEvent() => new FleetEvents.MachineGone(At, Machine, IsLoss, PoolUntil, Reason);
    }

    private sealed record MachineV1(
        string Id, string Token, PoolV1 Pool, double PricePerHour, DateTimeOffset Since,
        DateTimeOffset? ReleaseBy = null, DateTimeOffset? EndingSince = null)
    {
        public static MachineV1 Of(FleetMachine m) =>
            new(m.Id, m.Token, PoolV1.Of(m.Pool), m.PricePerHour, m.Since, m.ReleaseBy, m.EndingSince);

        public FleetMachine ToMachine() =>
            new(Id, Token, Pool.ToPool(), PricePerHour, Since, ReleaseBy, EndingSince);
    }

    private sealed record PoolRecordV1(
        PoolV1 Pool, double Hours, double Losses, int Refusals, DateTimeOffset OpenAt);

    private sealed record DecisionV1(DateTimeOffset At, string What, string Reason);

    private sealed record FleetCheckpointV1(
        DateTimeOffset At, string Cluster, int MachinesMin, long Ordered, LaunchOrderedV1[] Orders,
        MachineV1[] Machines, PoolRecordV1[] Pools, DecisionV1[] Decisions, int? Chosen = null) : IJournalForm
    {
        public static FleetCheckpointV1 Of(FleetEvents.FleetCheckpoint e) => new(
            e.At, e.Cluster, e.MachinesMin, e.Ordered,
            [.. e.Orders.Select(LaunchOrderedV1.Of)],
            [.. e.Machines.Select(MachineV1.Of)],
            [.. e.Pools.Select(p => new PoolRecordV1(PoolV1.Of(p.Pool), p.Hours, p.Losses, p.Refusals, p.OpenAt))],
            [.. e.Decisions.Select(d => new DecisionV1(d.At, d.What, d.Reason))],
            e.Chosen);

        public object ToEvent() => new FleetEvents.FleetCheckpoint(
            At, Cluster, MachinesMin, Chosen, Ordered,
            [.. Orders.Select(order => order.ToOrdered())],
            [.. Machines.Select(machine => machine.ToMachine())],
            [.. Pools.Select(p => new PoolRecord(p.Pool.ToPool(), p.Hours, p.Losses, p.Refusals, p.OpenAt))],
            [.. Decisions.Select(d => new FleetDecision(d.At, d.What, d.Reason))]);
    }
}
