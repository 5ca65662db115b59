using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Event;
using static SpotServe.Actors.Fragments.FragmentProtocol;

namespace SpotServe.Actors.Fragments;

/// <summary>
/// One per process: sends the process's long messages to other relays in fragments, and puts together those that come.
/// One state. It acts for any actor of its process, so it trusts what it is told by none of another: a fragment that
/// cannot be right ends its transfer, and what is kept of all others' is bounded (<see cref="Reassembly"/>).
/// </summary>
internal sealed class FragmentRelay : ReceiveActor, IWithTimers
{
    public const string Name = "fragments";

    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(500);

    private readonly IMessageCodec _codec;
    private readonly IFragmentRoutes _routes;
    private readonly Backlog _backlog;
    private readonly Outbox _outbox;
    private readonly Reassembly _reassembly;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly IScheduler _time = Context.System.Scheduler;
    private (int Count, string Last) _refused = (0, "");
    private (int Count, string Last) _lost = (0, "");

    public FragmentRelay(IMessageCodec codec, FragmentLimits limits, IFragmentRoutes routes, Backlog backlog)
    {
        _codec = codec;
        _routes = routes;
        _backlog = backlog;
        _reassembly = new Reassembly(limits);
        _outbox = new Outbox(limits, new Sink(this, Self, limits));
        Receive<Enqueue>(OnEnqueue);
        Receive<Fragment>(OnFragment);
        Receive<FragmentsTaken>(taken =>
            _outbox.OnTaken(_routes.RelayOf(Sender), taken.Transfer, taken.Count, _time.MonotonicClock));
        Receive<TransferRefused>(refused =>
            _outbox.OnRefused(_routes.RelayOf(Sender), refused.Transfer, refused.Reason, _time.MonotonicClock));
        Receive<Tick>(_ => OnTick());
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(
        IMessageCodec codec, FragmentLimits limits, IFragmentRoutes routes, Backlog backlog) =>
        Akka.Actor.Props.Create(() => new FragmentRelay(codec, limits, routes, backlog));

    // Also before a restart: those who wait for their turn would wait for ever.
    protected override void PostStop() => _outbox.Clear("the relay stopped");

    private void OnEnqueue(Enqueue command)
    {
        StartTicking();
        _outbox.Add(command.To, command.Message, _time.MonotonicClock);
    }

    private void OnFragment(Fragment fragment)
    {
        StartTicking();
        if (Trespass(fragment) is { } trespass)
        {
            Refuse(fragment, trespass);
            return;
        }

        switch (_reassembly.Take(Sender, fragment, _time.MonotonicClock))
        {
            case Taking.Taken taken:
                Sender.Tell(new FragmentsTaken(fragment.Transfer, taken.Count));
                return;
            case Taking.Over:
                Sender.Tell(new FragmentsTaken(fragment.Transfer, fragment.Count));
                return;
            case Taking.Refused refused:
                Refuse(fragment, refused.Reason);
                return;
            case Taking.Complete complete:
                Deliver(fragment, complete.Message);
                return;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    /// <summary>A relay speaks for the actors of its own process, to those of this one.</summary>
    private string? Trespass(Fragment fragment)
    {
        if (fragment.Target is null || !_routes.AreTogether(fragment.Target, Self)) return "its target is not here";
        return fragment.Sender is null || !_routes.AreTogether(fragment.Sender, Sender)
            ? "its sender is not where it comes from"
            : null;
    }

    private void Deliver(Fragment last, byte[] bytes)
    {
        object message;
        try
        {
            message = _codec.Read(bytes);
        }
        catch (SerializationException error)
        {
            Refuse(last, error.Message);
            return;
        }

        if (message is IMessage)
        {
            Refuse(last, "it holds a fragment");
            return;
        }

        // First the message, then the word that it is there: what its sender sends next comes after it.
        last.Target.Tell(message, last.Sender);
        Sender.Tell(new FragmentsTaken(last.Transfer, last.Count));
    }

    private void Refuse(Fragment fragment, string reason)
    {
        _refused = (_refused.Count + 1, $"{Sender.Path.Address}: {reason}");
        Sender.Tell(new TransferRefused(fragment.Transfer, reason));
    }

    private void StartTicking()
    {
        if (!Timers.IsTimerActive(nameof(Tick)))
            Timers.StartPeriodicTimer(nameof(Tick), Tick.Instance, TickInterval);
    }

    private void OnTick()
    {
        var now = _time.MonotonicClock;
        _outbox.Expire(now);
        _reassembly.Expire(now);
        // One line for many, because others decide how many there are.
        if (_refused.Count > 0)
            _log.Warning("{Count} fragments were refused, the last from {Last}", _refused.Count, _refused.Last);
        if (_lost.Count > 0)
            _log.Info("{Count} long messages were lost, the last a {Last}", _lost.Count, _lost.Last);
        (_refused, _lost) = ((0, ""), (0, ""));
        if (_outbox.IsIdle && _reassembly.IsIdle) Timers.Cancel(nameof(Tick));
    }

    /// <summary>From <see cref="LargeMessages"/>.</summary>
    /// <param name="To">Relay of the process that the message's target runs in.</param>
    internal sealed record Enqueue(OutgoingMessage Message, IActorRef To) : INoSerializationVerificationNeeded;

    private sealed record Tick : INoSerializationVerificationNeeded
    {
        public static Tick Instance { get; } = new();
    }

    private sealed class Sink(FragmentRelay relay, IActorRef self, FragmentLimits limits) : IOutboxSink
    {
        public void Send(IActorRef to, Fragment fragment) => to.Tell(fragment, self);

        public byte[]? SendWhole(OutgoingMessage message)
        {
            var (sender, target) = message.Pair;
            if (message.IsLatest)
            {
                try
                {
                    if (relay._codec.Write(message.Message) is { } bytes && bytes.Length > limits.WholeBytesMax)
                        return bytes;
                }
                catch (SerializationException error)
                {
                    relay._log.Error("{Message}", error.Message);
                    return null;
                }
            }

            target.Tell(message.Message, sender);
            return null;
        }

        public void Ended(OutgoingMessage message, string? lost)
        {
            relay._backlog.Remove(message);
            if (lost is not null && !message.IsLatest)
            {
                relay._lost = (
                    relay._lost.Count + 1,
                    $"{message.Message.GetType().Name} to {message.Pair.Target}: {lost}");
            }
        }
    }
}
