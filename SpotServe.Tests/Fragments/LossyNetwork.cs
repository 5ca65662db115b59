using Akka.Actor;
using SpotServe.Actors.Fragments;
using static SpotServe.Actors.Fragments.FragmentProtocol;

namespace SpotServe.Tests.Fragments;

/// <summary>
/// An outbox and the reassemblies of two processes, with fragments and answers that are late, out of order, doubled and
/// lost between them. A pair's messages are numbered; the first byte of a long one is its number.
/// </summary>
internal sealed class LossyNetwork : IOutboxSink
{
    private readonly FragmentLimits _limits;
    private readonly Random _random;
    private readonly double _loss;
    private readonly List<Action> _onTheirWay = [];
    private readonly Dictionary<IActorRef, Reassembly> _receivers = [];
    private TimeSpan _now;

    public LossyNetwork(FragmentLimits limits, Random random, double loss)
    {
        (_limits, _random, _loss) = (limits, random, loss);
        Outbox = new Outbox(limits, this);
    }

    public Outbox Outbox { get; }

    public int Added { get; private set; }

    public int EndedCount { get; private set; }

    public Dictionary<string, int> AddedTo { get; } = [];

    public Dictionary<string, List<int>> Arrived { get; } = [];

    public void Run()
    {
        for (var i = 0; i < 40; i++)
        {
            Add($"target{_random.Next(3)}");
            for (var steps = _random.Next(8); steps > 0; steps--) Step();
        }

        // Long enough for all that is silent to be given up, one after the other.
        for (var i = 0; i < 400 && !Outbox.IsIdle; i++)
        {
            while (_onTheirWay.Count > 0) Step();
            _now += _limits.SilenceMax / 2;
            Outbox.Expire(_now);
            foreach (var receiver in _receivers.Values) receiver.Expire(_now);
        }
    }

    public void Send(IActorRef relay, Fragment fragment) => Carry(() =>
    {
        if (!_receivers.TryGetValue(relay, out var receiver))
            _receivers.Add(relay, receiver = new Reassembly(_limits));
        var sender = new NamedRef("the outbox's relay");
        switch (receiver.Take(sender, fragment, _now))
        {
            case Taking.Taken taken:
                Carry(() => Outbox.OnTaken(relay, fragment.Transfer, taken.Count, _now));
                break;
            case Taking.Complete complete:
                Arrive(fragment.Target.Path.Name, complete.Message[0]);
                Carry(() => Outbox.OnTaken(relay, fragment.Transfer, fragment.Count, _now));
                break;
            case Taking.Over:
                Carry(() => Outbox.OnTaken(relay, fragment.Transfer, fragment.Count, _now));
                break;
            default:
                Carry(() => Outbox.OnRefused(relay, fragment.Transfer, "refused", _now));
                break;
        }
    });

    public byte[]? SendWhole(OutgoingMessage message)
    {
        Arrive(message.Pair.Target.Path.Name, (int)message.Message);
        return null;
    }

    public void Ended(OutgoingMessage message, string? lost) => EndedCount++;

    private void Add(string target)
    {
        Added++;
        var number = AddedTo[target] = AddedTo.GetValueOrDefault(target) + 1;
        // A target lives in one process.
        var relay = new NamedRef(target == "target2" ? "relay2" : "relay1");
        var message = _random.Next(2) == 0
            ? OutboxTests.Long(target, number, _random.Next(11, 70))
            : OutboxTests.Short(target, number);
        Outbox.Add(relay, message, _now);
    }

    private void Arrive(string target, int number)
    {
        if (!Arrived.TryGetValue(target, out var numbers)) Arrived.Add(target, numbers = []);
        numbers.Add(number);
    }

    private void Carry(Action action)
    {
        if (_random.NextDouble() < _loss) return;
        _onTheirWay.Add(action);
        if (_random.Next(8) == 0) _onTheirWay.Add(action);
    }

    private void Step()
    {
        if (_onTheirWay.Count == 0) return;
        var at = _random.Next(_onTheirWay.Count);
        var action = _onTheirWay[at];
        _onTheirWay.RemoveAt(at);
        _now += TimeSpan.FromMilliseconds(1);
        action();
    }
}
