using System.Collections.Immutable;
using static SpotServe.Actors.Fleet.FleetEvents;

namespace SpotServe.Actors.Fleet;

/// <summary>What the fleet manager's journal comes to: the one fold of it, live and in recovery.</summary>
internal sealed record FleetJournal
{
    private const int DecisionsMax = 64;

    public static FleetJournal Empty { get; } = new();

    public string Cluster { get; init; } = "";

    /// <summary>As the command line stated it.</summary>
    public int MachinesMin { get; init; }

    /// <summary>As an operator chose it after that.</summary>
    public int? Chosen { get; init; }

    /// <summary>Number of the last order.</summary>
    public long Ordered { get; init; }

    /// <summary>By token: asked for, and not known to have led to a machine.</summary>
    public ImmutableSortedDictionary<string, LaunchOrdered> Orders { get; init; } =
        ImmutableSortedDictionary.Create<string, LaunchOrdered>(StringComparer.Ordinal);

    /// <summary>By the cloud's name for them.</summary>
    public ImmutableSortedDictionary<string, FleetMachine> Machines { get; init; } =
        ImmutableSortedDictionary.Create<string, FleetMachine>(StringComparer.Ordinal);

    public ImmutableSortedDictionary<MachinePool, PoolRecord> Pools { get; init; } =
        ImmutableSortedDictionary.Create<MachinePool, PoolRecord>(MachinePool.Order);

    /// <summary>The latest ones, oldest first.</summary>
    public ImmutableArray<FleetDecision> Decisions { get; init; } = [];

    /// <summary>Machines that exist or may exist.</summary>
    public int Count => Machines.Count + Orders.Count;

    public FleetJournal Apply(IFleetEvent happened)
    {
        var next = happened switch
        {
            FleetBegun begun => Begin(begun),
            SizeChosen chosen => this with { Chosen = chosen.Size },
            LaunchOrdered ordered => this with { Ordered = Ordered + 1, Orders = Orders.Add(ordered.Token, ordered) },
            LaunchAnswered answered => Answer(answered),
            LaunchRefused refused => Refuse(refused),
            MachineFound found => this with
            {
                Machines = Machines.SetItem(found.Machine, new FleetMachine(
                    found.Machine, found.Token, found.Pool, found.PricePerHour, found.At, null, null)),
            },
            ReleaseBegun begun => Change(begun.Machine, machine => machine with { ReleaseBy = begun.Deadline }),
            TerminationOrdered ordered => Change(
                ordered.Machine, machine => machine with { EndingSince = machine.EndingSince ?? ordered.At }),
            MachineGone gone => Lose(gone),
            FleetCheckpoint point => Restore(point),
            _ => throw new InvariantException($"nobody applies {happened}"),
        };
        return FleetWords.Of(this, happened) is { } decision
            ? next with { Decisions = [.. next.Decisions.TakeLast(DecisionsMax - 1), decision] }
            : next;
    }

    public FleetCheckpoint Checkpoint(DateTimeOffset at) => new(
        at, Cluster, MachinesMin, Chosen, Ordered, [.. Orders.Values], [.. Machines.Values], [.. Pools.Values],
        Decisions);

    public PoolRecord PoolOf(MachinePool pool) =>
        Pools.GetValueOrDefault(pool) ?? new PoolRecord(pool, 0, 0, 0, DateTimeOffset.MinValue);

    private FleetJournal Begin(FleetBegun begun)
    {
        var known = begun.Cluster == Cluster ? this : Empty with { Cluster = begun.Cluster };
        return known with
        {
            MachinesMin = begun.MachinesMin,
            Chosen = begun.MachinesMin == known.MachinesMin ? known.Chosen : null,
        };
    }

    private FleetJournal Answer(LaunchAnswered answered)
    {
        if (!Orders.TryGetValue(answered.Token, out var order)) return this;
        var pool = PoolOf(answered.Pool ?? order.Pool) with { Refusals = 0 };
        return this with
        {
            Orders = Orders.Remove(answered.Token),
            Machines = Machines.SetItem(answered.Machine, new FleetMachine(
                answered.Machine, answered.Token, pool.Pool, order.PricePerHour, order.At, null, null)),
            Pools = Pools.SetItem(pool.Pool, pool),
        };
    }

    private FleetJournal Refuse(LaunchRefused refused)
    {
        if (!Orders.TryGetValue(refused.Token, out var order)) return this;
        return order.AllPools.Aggregate(
            this with { Orders = Orders.Remove(refused.Token) },
            (journal, pool) => journal.Close(pool, refused.PoolUntil));
    }

    private FleetJournal Lose(MachineGone gone)
    {
        if (!Machines.TryGetValue(gone.Machine, out var machine)) return this;
        var pool = PoolOf(machine.Pool).With((gone.At - machine.Since).TotalHours, gone.IsLoss);
        var next = this with
        {
            Machines = Machines.Remove(gone.Machine),
            Pools = Pools.SetItem(pool.Pool, pool),
        };
        return gone.PoolUntil is { } until ? next.Close(machine.Pool, until) : next;
    }

    private FleetJournal Close(MachinePool pool, DateTimeOffset until)
    {
        var known = PoolOf(pool);
        return this with
        {
            Pools = Pools.SetItem(pool, known with { Refusals = known.Refusals + 1, OpenAt = until }),
        };
    }

    private FleetJournal Change(string machine, Func<FleetMachine, FleetMachine> change) =>
        Machines.TryGetValue(machine, out var known)
            ? this with { Machines = Machines.SetItem(machine, change(known)) }
            : this;

    private static FleetJournal Restore(FleetCheckpoint point) => Empty with
    {
        Cluster = point.Cluster,
        MachinesMin = point.MachinesMin,
        Chosen = point.Chosen,
        Ordered = point.Ordered,
        Orders = Empty.Orders.AddRange(point.Orders.Select(order => KeyValuePair.Create(order.Token, order))),
        Machines = Empty.Machines.AddRange(
            point.Machines.Select(machine => KeyValuePair.Create(machine.Id, machine))),
        Pools = Empty.Pools.AddRange(point.Pools.Select(pool => KeyValuePair.Create(pool.Pool, pool))),
        Decisions = point.Decisions,
    };
}
