using System.Collections.Immutable;
using static SpotServe.Actors.Fleet.FleetEvents;

namespace SpotServe.Actors.Fleet;

/// <summary>One step of the fleet's core while it is made: the state as it becomes, what goes into the journal, and
/// what is done after that.</summary>
internal sealed class FleetTurn(FleetState state, FleetLimits limits, DateTimeOffset now)
{
    private readonly ImmutableArray<IFleetEvent>.Builder _events = ImmutableArray.CreateBuilder<IFleetEvent>();
    private readonly ImmutableArray<FleetEffect>.Builder _effects = ImmutableArray.CreateBuilder<FleetEffect>();

    public FleetState State { get; set; } = state;

    public FleetLimits Limits { get; } = limits;

    public DateTimeOffset Now { get; } = now;

    public FleetJournal Journal => State.Journal;

    public FleetStep Step => new(State, _events.ToImmutable(), _effects.ToImmutable());

    public void Note(IFleetEvent happened)
    {
        _events.Add(happened);
        State = State with { Refusals = RefusalsAfter(happened), Journal = Journal.Apply(happened) };
    }

    /// <summary>Pools that are left alone after it say why.</summary>
    private ImmutableDictionary<MachinePool, string> RefusalsAfter(IFleetEvent happened) => happened switch
    {
        LaunchRefused refused when Journal.Orders.TryGetValue(refused.Token, out var order) =>
            State.Refusals.SetItems(order.AllPools.Select(pool => KeyValuePair.Create(pool, refused.Reason))),
        MachineGone { PoolUntil: not null } gone when Journal.Machines.TryGetValue(gone.Machine, out var machine) =>
            State.Refusals.SetItem(machine.Pool, gone.Reason),
        _ => State.Refusals,
    };

    public void Do(FleetEffect effect) => _effects.Add(effect);

    public Sighting SeenOf(string machine) => State.Seen.GetValueOrDefault(machine) ?? Sighting.None;

    public void See(string machine, Sighting sighting) =>
        State = State with { Seen = State.Seen.SetItem(machine, sighting) };

    public void Terminate(FleetMachine machine, string reason)
    {
        if (machine.EndingSince is not null) return;
        Note(new TerminationOrdered(Now, machine.Id, reason));
        State = State with { Terminations = State.Terminations.SetItem(machine.Id, Attempt.None.Asked(Now)) };
        Do(new FleetEffect.Terminate(machine.Id));
    }
}

/// <param name="Events">For the journal, before anything is done.</param>
internal sealed record FleetStep(
    FleetState State, ImmutableArray<IFleetEvent> Events, ImmutableArray<FleetEffect> Effects);
