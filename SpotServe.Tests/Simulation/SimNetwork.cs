using Akka.Actor;
using Akka.Dispatch.SysMsg;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// Messages between processes: late, in order for each pair, sometimes lost or twice, and not at all across a
/// partition. Death watch is kept as remoting keeps it: told when a process counts as gone.
/// </summary>
internal sealed class SimNetwork(SimWorld world)
{
    private static readonly TimeSpan Latency = TimeSpan.FromMilliseconds(0.3);
    private readonly Dictionary<(string From, string To), TimeSpan> _lastArrival = [];
    private readonly List<(HashSet<string> Side, HashSet<string> Other)> _partitions = [];
    private readonly List<(IInternalActorRef Watchee, IInternalActorRef Watcher)> _watches = [];
    private readonly HashSet<SimProcess> _gone = [];

    /// <summary>Probability that a message is lost.</summary>
    public double Loss { get; set; }

    /// <summary>Probability that a message comes twice.</summary>
    public double Duplication { get; set; }

    /// <summary>Most by which a message is late.</summary>
    public TimeSpan Delay { get; set; }

    /// <summary>Bytes per second of bulk transfers between two machines.</summary>
    public double BytesPerSecond { get; set; } = 1e6;

    /// <summary>Something is cut, or control messages are late or lost.</summary>
    public bool IsDisturbed => _partitions.Count > 0 || Loss > 0 || Delay > TimeSpan.Zero;

    public bool IsCut(string host, string other) => host != other && _partitions.Exists(cut =>
        (cut.Side.Contains(host) && cut.Other.Contains(other))
        || (cut.Side.Contains(other) && cut.Other.Contains(host)));

    /// <returns>What heals it.</returns>
    public Action Cut(IEnumerable<string> side, IEnumerable<string> other)
    {
        var cut = (side.ToHashSet(), other.ToHashSet());
        _partitions.Add(cut);
        return () => _partitions.Remove(cut);
    }

    public void HealAll()
    {
        _partitions.Clear();
        (Loss, Duplication, Delay) = (0, 0, TimeSpan.Zero);
    }

    public void Send(SimProcess from, SimProcess to, object message, Action deliver)
    {
        if (from.IsDead || to.IsDead) return;
        if (world.Fragments.Violation(message) is { } violation) world.Break($"{from} to {to}: {violation}");
        if (IsCut(from.Host, to.Host) || world.Chance(Loss))
        {
            world.Log?.Invoke($"          lost: {from} to {to}: {message.GetType().Name}");
            return;
        }

        world.At(Arrival(from, to), deliver);
        if (world.Chance(Duplication)) world.At(Arrival(from, to), deliver);
    }

    /// <summary>System messages are sent again by remoting until they arrive: late, but never lost.</summary>
    public void SendSystem(SimProcess from, SimProcess to, SystemMessage message, Action deliver)
    {
        if (message is Watch watch)
        {
            _watches.Add((watch.Watchee, watch.Watcher));
            if (_gone.Contains(to)) world.After(Latency, () => TellDeath(watch.Watchee, watch.Watcher));
        }
        else if (message is Unwatch unwatch)
        {
            _watches.Remove((unwatch.Watchee, unwatch.Watcher));
        }

        if (to.IsDead || from.IsDead) return;
        if (!IsCut(from.Host, to.Host)) world.At(Arrival(from, to), deliver);
        else world.After(TimeSpan.FromSeconds(1), () => SendSystem(from, to, message, deliver));
    }

    /// <summary>The cluster has given a process up: whoever watches its actors hears that they are gone.</summary>
    public void Remove(SimProcess process)
    {
        if (!_gone.Add(process)) return;
        foreach (var (watchee, watcher) in _watches.ToArray())
        {
            if (world.ProcessOf(watchee) == process) TellDeath(watchee, watcher);
        }

        _watches.RemoveAll(watch =>
            world.ProcessOf(watch.Watchee) == process || world.ProcessOf(watch.Watcher) == process);
    }

    private void TellDeath(IInternalActorRef watchee, IInternalActorRef watcher)
    {
        if (world.ProcessOf(watcher) is not { IsDead: false }) return;
        watcher.SendSystemMessage(
            new DeathWatchNotification(watchee, existenceConfirmed: true, addressTerminated: true));
    }

    private TimeSpan Arrival(SimProcess from, SimProcess to)
    {
        var arrival = world.Now + Latency + (world.Random.NextDouble() * (Latency + Delay));
        var pair = (from.Name, to.Name);
        if (_lastArrival.TryGetValue(pair, out var last) && last > arrival) arrival = last;
        _lastArrival[pair] = arrival;
        return arrival;
    }
}
