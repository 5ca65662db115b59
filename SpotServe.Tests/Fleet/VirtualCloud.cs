using System.Collections.Immutable;
using SpotServe.Actors.Fleet;

namespace SpotServe.Tests.Fleet;

/// <summary>A cloud on virtual time, whose machines and answers are what a seed draws: it refuses, throttles, answers
/// late
/// or never, and shows lists that are some seconds old.</summary>
internal sealed class VirtualCloud(Random random)
{
    private readonly Dictionary<string, string> _byToken = [];
    private int _launched;

    public Dictionary<string, VirtualMachine> Machines { get; } = [];

    /// <summary>Pools that have no machine now.</summary>
    public HashSet<MachinePool> Closed { get; } = [];

    public Dictionary<MachinePool, double> Prices { get; } = [];

    /// <summary>0 to 1: how likely a call fails in one of the ways.</summary>
    public double FaultRate { get; set; }

    /// <summary>Two machines for one order would be the worst of bugs.</summary>
    public int Doubled => Machines.Values.GroupBy(machine => machine.Token).Count(group => group.Count() > 1);

    public double PricePerHour => Machines.Values.Sum(machine => Prices[machine.Pool]);

    /// <returns>Null when nobody answers.</returns>
    public LaunchOutcome? Launch(LaunchOrder order, DateTimeOffset now)
    {
        var fault = random.NextDouble() < FaultRate ? random.Next(4) : -1;
        if (fault == 0) return new LaunchOutcome.Throttled("RequestLimitExceeded");
        if (fault == 1) return new LaunchOutcome.Unknown("the connection broke");
        if (_byToken.TryGetValue(order.Token, out var known))
            return fault == 2 ? null : new LaunchOutcome.Launched(known, Machines.GetValueOrDefault(known)?.Pool);
        var open = order.Alternatives.Insert(0, order.Pool).Where(pool => !Closed.Contains(pool)).ToArray();
        if (open.Length == 0) return new LaunchOutcome.Refused("InsufficientInstanceCapacity");
        var id = $"i-{++_launched}";
        var pool = open[random.Next(open.Length)];
        _byToken[order.Token] = id;
        Machines[id] = new VirtualMachine(id, order.Token, pool)
        {
            ShownAt = now + TimeSpan.FromSeconds(random.Next(30)),
            JoinsAt = now + TimeSpan.FromSeconds(random.Next(20, 90)),
        };
        return fault switch
        {
            2 => null,   // Launched, and nobody heard.
            3 => new LaunchOutcome.Unknown("500 Internal Error"),
            _ => new LaunchOutcome.Launched(id, pool),
        };
    }

    /// <returns>Null when nobody answers; false when it was not taken.</returns>
    public bool? Terminate(string machine, DateTimeOffset now)
    {
        var fault = random.NextDouble() < FaultRate ? random.Next(3) : -1;
        if (fault == 0) return false;
        if (Machines.TryGetValue(machine, out var there))
            there.EndsAt = Earlier(there.EndsAt, now + TimeSpan.FromSeconds(random.Next(1, 40)));
        return fault == 1 ? null : true;
    }

    /// <returns>Null when it fails.</returns>
    public ImmutableArray<CloudMachine>? List(DateTimeOffset now) => random.NextDouble() < FaultRate
        ? null
        :
        [
            .. Machines.Values.Where(machine => machine.ShownAt <= now).Select(machine => new CloudMachine(
                machine.Id, machine.Token, machine.Pool,
                machine.IsEnding ? MachineStatus.Ending : MachineStatus.Running, "")),
        ];

    /// <summary>Ends what is to end by now.</summary>
    public void Pass(DateTimeOffset now)
    {
        foreach (var machine in Machines.Values.Where(machine => machine.EndsAt <= now).ToArray())
            Machines.Remove(machine.Id);
    }

    public static DateTimeOffset Earlier(DateTimeOffset? one, DateTimeOffset other) =>
        one is { } there && there < other ? there : other;
}

internal sealed record VirtualMachine(string Id, string Token, MachinePool Pool)
{
    public DateTimeOffset ShownAt { get; init; }

    public DateTimeOffset JoinsAt { get; set; }

    /// <summary>Its node leaves the cluster then, told by its cloud or the fleet manager.</summary>
    public DateTimeOffset? LeavesAt { get; set; }

    /// <summary>It is gone then.</summary>
    public DateTimeOffset? EndsAt { get; set; }

    public bool IsEnding => EndsAt is not null && LeavesAt is null;

    public bool HasNode(DateTimeOffset now) => JoinsAt <= now && !(LeavesAt <= now) && !IsEnding;
}
