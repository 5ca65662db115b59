using Akka.Actor;
using Akka.Configuration;
using Akka.Dispatch;
using Akka.Dispatch.SysMsg;
using Akka.Event;

namespace SpotServe.Tests.Simulation;

/// <summary>An actor system whose threads, timers and journal are the simulated world's.</summary>
internal static class SimAkka
{
    private static readonly Config Settings = ConfigurationFactory.ParseString(
        """
        akka {
          loggers = []
          stdout-loglevel = OFF
          loglevel = INFO
          scheduler.implementation = "SpotServe.Tests.Simulation.SimScheduler, SpotServe.Tests"
          coordinated-shutdown.run-by-clr-shutdown-hook = off
          actor {
            default-dispatcher = ${sim-dispatcher}
            internal-dispatcher = ${sim-dispatcher}
            default-blocking-io-dispatcher = ${sim-dispatcher}
          }
          persistence {
            journal.plugin = "sim-journal"
            snapshot-store.plugin = "sim-snapshots"
            dispatchers.default-plugin-dispatcher = ${sim-dispatcher}
            dispatchers.default-replay-dispatcher = ${sim-dispatcher}
          }
        }
        sim-dispatcher {
          type = "SpotServe.Tests.Simulation.SimDispatcherConfigurator, SpotServe.Tests"
          throughput = 1
        }
        sim-journal {
          class = "SpotServe.Tests.Simulation.SimJournal, SpotServe.Tests"
          plugin-dispatcher = sim-dispatcher
        }
        sim-snapshots {
          class = "SpotServe.Tests.Simulation.SimSnapshots, SpotServe.Tests"
          plugin-dispatcher = sim-dispatcher
        }
        """.Replace(
        "${sim-dispatcher}",
        """{ type = "SpotServe.Tests.Simulation.SimDispatcherConfigurator, SpotServe.Tests", throughput = 1 }""",
        StringComparison.Ordinal));

    /// <summary>Call inside <see cref="SimWorld.Enter"/>.</summary>
    public static ActorSystem Create(bool isVerbose) => ActorSystem.Create("simulation", isVerbose
        ? ConfigurationFactory.ParseString("akka.loglevel = DEBUG").WithFallback(Settings)
        : Settings);
}

/// <summary>Named in the settings.</summary>
public sealed class SimDispatcherConfigurator : MessageDispatcherConfigurator
{
    private readonly SimDispatcher _dispatcher;

    public SimDispatcherConfigurator(Config config, IDispatcherPrerequisites prerequisites)
        : base(config, prerequisites) => _dispatcher = new SimDispatcher(this);

    public override MessageDispatcher Dispatcher() => _dispatcher;
}

/// <summary>Puts messages between processes on the simulated network, and has the world run mailboxes.</summary>
internal sealed class SimDispatcher : MessageDispatcher
{
    private readonly SimWorld _world = SimWorld.Current;
    private readonly Dictionary<IRunnable, SimProcess?> _mailboxes = new(ReferenceEqualityComparer.Instance);

    public SimDispatcher(MessageDispatcherConfigurator configurator)
        : base(configurator) => Throughput = 1;

    public override void Dispatch(ActorCell cell, Envelope envelope)
    {
        var to = _world.ProcessOf(cell.Self);
        var from = _world.ProcessOf(envelope.Sender);
        _world.OnMessage?.Invoke(new SimMessage(envelope.Message, envelope.Sender, cell.Self));
        _world.Note(Stable.Hash(envelope.Message.GetType()));
        // What an actor passes on within its process does not cross the network, whoever sent it first.
        if (from is null || to is null || from == to || to == _world.Running) Deliver(cell, envelope, to);
        else _world.Network.Send(from, to, envelope.Message, () => Deliver(cell, envelope, to));
    }

    public override void SystemDispatch(ActorCell cell, SystemMessage message)
    {
        var to = _world.ProcessOf(cell.Self);
        var from = _world.ProcessOf(message switch
        {
            Watch watch => watch.Watcher,
            Unwatch unwatch => unwatch.Watcher,
            DeathWatchNotification { AddressTerminated: false } death => death.Actor,
            _ => null,
        });
        _mailboxes[cell.Mailbox!] = to;
        if (from is null || to is null || from == to) base.SystemDispatch(cell, message);
        else _world.Network.SendSystem(from, to, message, () => base.SystemDispatch(cell, message));
    }

    protected override void ExecuteTask(IRunnable run) =>
        _world.Ready(run, _mailboxes.GetValueOrDefault(run));

    protected override void Shutdown()
    {
    }

    private void Deliver(ActorCell cell, Envelope envelope, SimProcess? to)
    {
        if (to is { IsDead: true }) return;
        _mailboxes[cell.Mailbox!] = to;
        base.Dispatch(cell, envelope);
    }
}

/// <summary>Akka's timers on virtual time.</summary>
public sealed class SimScheduler : SchedulerBase, IDisposable
{
    private readonly SimWorld _world = SimWorld.Current;

    public SimScheduler(Config config, ILoggingAdapter log)
        : base(config, log)
    {
    }

    public override TimeSpan MonotonicClock => _world.Now;

    public override TimeSpan HighResMonotonicClock => _world.Now;

    protected override DateTimeOffset TimeNow => _world.Clock.GetUtcNow();

    public void Dispose()
    {
    }

    protected override void InternalScheduleTellOnce(
        TimeSpan delay, ICanTell receiver, object message, IActorRef sender, ICancelable cancelable) =>
        Once(delay, () => receiver.Tell(message, sender), cancelable);

    protected override void InternalScheduleTellRepeatedly(
        TimeSpan initialDelay,
        TimeSpan interval,
        ICanTell receiver,
        object message,
        IActorRef sender,
        ICancelable cancelable)
    {
        var process = receiver is IActorRef actor ? _world.ProcessOf(actor) : null;
        Repeatedly(initialDelay, interval, () => receiver.Tell(message, sender), cancelable, process);
    }

    protected override void InternalScheduleOnce(TimeSpan delay, Action action, ICancelable cancelable) =>
        Once(delay, action, cancelable);

    protected override void InternalScheduleOnce(TimeSpan delay, IRunnable action, ICancelable cancelable) =>
        Once(delay, action.Run, cancelable);

    protected override void InternalScheduleRepeatedly(
        TimeSpan initialDelay, TimeSpan interval, Action action, ICancelable cancelable) =>
        Repeatedly(initialDelay, interval, action, cancelable, process: null);

    protected override void InternalScheduleRepeatedly(
        TimeSpan initialDelay, TimeSpan interval, IRunnable action, ICancelable cancelable) =>
        Repeatedly(initialDelay, interval, action.Run, cancelable, process: null);

    private void Once(TimeSpan delay, Action action, ICancelable? cancelable) => _world.After(delay, () =>
    {
        if (cancelable is not { IsCancellationRequested: true }) action();
    });

    private void Repeatedly(
        TimeSpan delay, TimeSpan interval, Action action, ICancelable? cancelable, SimProcess? process) =>
        _world.After(delay, () =>
        {
            if (cancelable is { IsCancellationRequested: true } || process is { IsDead: true }) return;
            action();
            Repeatedly(interval, interval, action, cancelable, process);
        });
}

/// <summary>Hashes that are the same in every process.</summary>
internal static class Stable
{
    private static readonly System.Collections.Concurrent.ConcurrentDictionary<Type, ulong> Types = new();

    public static ulong Hash(Type type) => Types.GetOrAdd(type, known => Hash(known.FullName!));

    public static ulong Hash(string text)
    {
        var hash = 14_695_981_039_346_656_037;
        foreach (var letter in text) hash = (hash ^ letter) * 1_099_511_628_211;
        return hash;
    }
}
