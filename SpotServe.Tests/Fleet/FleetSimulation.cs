using System.Collections.Immutable;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Fleet;

/// <summary>The fleet's core against a <see cref="VirtualCloud"/>, second by second. Laws are checked after
/// each.</summary>
internal sealed class FleetSimulation
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private readonly Random _random;
    private readonly FleetLimits _limits;
    private readonly FleetCore _core;
    private readonly PriorityQueue<object, DateTimeOffset> _answers = new();
    private DateTimeOffset _now = new(2026, 11, 26, 0, 0, 0, TimeSpan.Zero);
    private FleetJournal _journal = FleetJournal.Empty;
    private FleetState _state;

    public FleetSimulation(int seed, FleetLimits limits)
    {
        _random = new Random(seed);
        _limits = limits;
        _core = new FleetCore(limits);
        Cloud = new VirtualCloud(_random);
        foreach (var pool in limits.Pools) Cloud.Prices[pool] = (pool.IsSpot, pool.Zone) switch
        {
            (true, "a") => 1,
            (true, _) => 2,
            _ => 3,
        };
        _state = new FleetState(_journal, _now);
        Restart();
    }

    public VirtualCloud Cloud { get; }

    public FleetState State => _state;

    public int Size { get; private set; }

    /// <summary>What the planner wants; null while it wants nothing.</summary>
    public FleetWish? Wish { get; set; }

    public int Joined => Cloud.Machines.Values.Count(machine => machine.HasNode(_now) && machine.LeavesAt is null);

    /// <summary>The manager's process ends, and another reads its journal. Answers on their way are lost.</summary>
    public void Restart()
    {
        _answers.Clear();
        Take(_core.Begin(_journal, _now));
        if (Size == 0) Size = _limits.MachinesMin;
    }

    /// <summary>One of the things that happen to a fleet.</summary>
    public void Upset()
    {
        var machines = Cloud.Machines.Values.ToArray();
        var pool = _limits.Pools[_random.Next(_limits.Pools.Length)];
        switch (_random.Next(8))
        {
            case 0 or 1 when machines.Length > 0:
                Lose(machines[_random.Next(machines.Length)], TimeSpan.Zero);
                break;
            case 2 or 3 when machines.Length > 0:
                Lose(machines[_random.Next(machines.Length)], TimeSpan.FromSeconds(_random.Next(10, 120)));
                break;
            case 4:
                if (!Cloud.Closed.Add(pool)) Cloud.Closed.Remove(pool);
                break;
            case 5:
                Cloud.FaultRate = _random.Next(3) * 0.3;
                break;
            case 6:
                Restart();
                break;
            default:
                Size = _random.Next(1, _limits.MachinesMax);
                Take(_core.Step(_state, new FleetInputs.SizeAsked(Size), _now));
                break;
        }
    }

    public void Pass(TimeSpan time)
    {
        for (var end = _now + time; _now < end;)
        {
            _now += Second;
            Cloud.Pass(_now);
            while (_answers.TryPeek(out _, out var at) && at <= _now)
                Take(_core.Step(_state, _answers.Dequeue(), _now));
            Take(_core.Step(_state, new FleetInputs.PlannerTold(Wish, Nodes()), _now));
            Take(_core.Step(_state, FleetInputs.Tick.Instance, _now));
            Check();
        }
    }

    public override string ToString() => string.Join(
        '\n',
        _journal.Decisions.Select(decision => $"{decision.At:T} {decision.What}: {decision.Reason}")
            .Append($"{_now:T} wanted {_state.Target}; {_state.Shortfall}; there: "
                + string.Join(", ", Cloud.Machines.Values)));

    private void Check()
    {
        Assert.True(Cloud.Machines.Count <= _limits.MachinesMax, $"{Cloud.Machines.Count} machines\n{this}");
        Assert.True(Cloud.PricePerHour <= _limits.PricePerHourMax, $"{Cloud.PricePerHour} an hour\n{this}");
        Assert.Equal(0, Cloud.Doubled);
    }

    private void Lose(VirtualMachine machine, TimeSpan notice)
    {
        machine.EndsAt = VirtualCloud.Earlier(machine.EndsAt, _now + notice);
        if (notice > TimeSpan.Zero) machine.LeavesAt = VirtualCloud.Earlier(machine.LeavesAt, _now + notice);
    }

    private ImmutableArray<MemberNode> Nodes() =>
    [
        .. Cloud.Machines.Values.Where(machine => machine.HasNode(_now)).Select(machine =>
            new MemberNode($"{machine.Id}:1#0", machine.Id, "", machine.LeavesAt is not null, Serves: true)),
    ];

    private void Take(FleetStep step)
    {
        _state = step.State;
        foreach (var happened in step.Events) _journal = _journal.Apply(happened);
        foreach (var effect in step.Effects) Do(effect);
    }

    private void Do(FleetEffect effect)
    {
        switch (effect)
        {
            case FleetEffect.Launch launch:
                Answer(new FleetInputs.OrderAnswered(
                    launch.Order.Token,
                    Cloud.Launch(launch.Order, _now) ?? new LaunchOutcome.Unknown("it did not answer in time")));
                break;
            case FleetEffect.Terminate terminate:
                var done = Cloud.Terminate(terminate.Machine, _now);
                Answer(new FleetInputs.TerminationAnswered(terminate.Machine, done == true ? null : "failed"));
                break;
            case FleetEffect.List:
                Answer(Cloud.List(_now) is { } machines
                    ? new FleetInputs.Listed(_now, machines)
                    : new FleetInputs.ListFailed("503"));
                break;
            case FleetEffect.AskPrices:
                Answer(new FleetInputs.PricesTold(
                    [.. Cloud.Prices.Select(price => new PoolPrice(price.Key, price.Value))]));
                break;
            case FleetEffect.Drain drain:
                var machine = Cloud.Machines[drain.Node[..drain.Node.IndexOf(':')]];
                machine.LeavesAt = VirtualCloud.Earlier(
                    machine.LeavesAt, _now + TimeSpan.FromSeconds(_random.Next(5, 40)));
                break;
        }
    }

    private void Answer(object answer) => _answers.Enqueue(answer, _now + TimeSpan.FromSeconds(_random.Next(1, 30)));
}
