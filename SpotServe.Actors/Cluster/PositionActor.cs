using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// One device's part in one epoch. States in order of life: Preparing (weights come in), Prepared, Connecting, Running
/// (the engine thread waits for steps; on (d,0,0) the replica actor is there), Closing. It never goes back: a failure
/// is told to the parent, which closes it. On the leader's position it also has pages copied for its replica.
/// </summary>
internal sealed partial class PositionActor : ReceiveActor, IWithTimers
{
    /// <summary>Least time between two reports of how far loading is.</summary>
    private static readonly TimeSpan LoadingReportPeriod = TimeSpan.FromMilliseconds(200);

    private readonly PreparePosition _command;
    private readonly IDeviceRuntime _runtime;
    private readonly IStageLauncher _launcher;
    private readonly Func<ConnectPosition, StageAssignment, IStepPipeline, Props> _replicaProps;
    private readonly TimeProvider _clock;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly CancellationTokenSource _work = new();
    private readonly DeviceCopies _deviceCopies = new();
    private readonly Epoch _epoch;
    private ConnectPosition? _connect;
    private ISliceFetcher? _pageFetcher;
    private Task<IStageEngine>? _preparation;
    private Task<IRunningStage>? _launch;
    private IStageEngine? _engine;
    private IActorRef? _replica;
    private double _preparedSeconds;

    /// <param name="replicaProps">Props of the replica actor, made on the leader's position only.</param>
    public PositionActor(
        PreparePosition command,
        IDeviceRuntime runtime,
        IStageLauncher launcher,
        Func<ConnectPosition, StageAssignment, IStepPipeline, Props> replicaProps,
        TimeProvider clock)
    {
        _command = command;
        _epoch = command.Epoch;
        _runtime = runtime;
        _launcher = launcher;
        _replicaProps = replicaProps;
        _clock = clock;
        Become(Preparing);
    }

    public ITimerScheduler Timers { get; set; } = null!;

    private StageAssignment Assignment => _command.Order.Assignment;

    protected override void PreStart()
    {
        var (self, parent, epoch, device) = (Self, Context.Parent, _epoch, _command.Device);
        var started = _clock.GetTimestamp();
        var progress = new Throttled(
            _clock, loaded => parent.Tell(new DeviceLoading(epoch, device, loaded), self));
        _log.Info("Preparing position {0} of {1}, layers {2}", Assignment.Position, epoch, Assignment.Layers);
        _preparation = _runtime.PrepareAsync(
            _command.Order, _launcher.FetcherFor(epoch, _command.Endpoints), progress, _work.Token);
        _preparation.PipeTo(
            Self,
            success: engine => new EngineReady(engine, _clock.GetElapsedTime(started)),
            failure: error => new Broken("could not load its weights", error));
    }

    protected override void PreRestart(Exception reason, object message)
    {
        // Its parent's strategy stops it; whatever it had goes with it.
        DropEverything();
        base.PreRestart(reason, message);
    }

    protected override void PostStop()
    {
        DropEverything();
        _deviceCopies.Dispose();
        _work.Dispose();
    }

    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(error => error switch
    {
        InvariantException => Directive.Escalate,
        _ => Directive.Stop,   // its pipeline goes with it; Terminated becomes a failure
    });

    private void Preparing()
    {
        Receive<EngineReady>(OnEngineReady);
        Receive<PreparePosition>(_ => { });
        Common();
    }

    private void Prepared()
    {
        Receive<PreparePosition>(_ => ReportPrepared());
        Receive<ConnectPosition>(OnConnect);
        Common();
    }

    private void Connecting()
    {
        Receive<PreparePosition>(_ => ReportPrepared());
        Receive<ConnectPosition>(_ => { });
        Receive<StageLaunched>(OnStageLaunched);
        Common();
    }

    private void Running()
    {
        Receive<PreparePosition>(_ => ReportPrepared());
        Receive<ConnectPosition>(_ => ReportConnected());
        Receive<Rehearsed>(_ => OnRehearsed());
        Receive<CopyDevicePages>(OnCopyDevicePages);
        Receive<HandoverProtocol.CopyPages>(OnCopyPages);
        Receive<HandoverProtocol.CancelCopies>(OnCancelCopies);
        Receive<CopyEnded>(ended => _deviceCopies.End(ended.Job, ended.Answer, Self));
        Receive<HandoverProtocol.IMessage>(message => Context.Parent.Tell(message));
        Common();
    }

    private void Closing()
    {
        Receive<EngineGone>(gone =>
        {
            if (gone.Fault is { } fault) _log.Error(fault, "The stage of {Epoch} did not end as it should", _epoch);
            Context.Parent.Tell(new Closed(_epoch, gone.Trim));
            Context.Stop(Self);
        });
        ReceiveAny(_ => { });
    }

    private void Common()
    {
        Receive<Close>(OnClose);
        Receive<Broken>(broken => Fail(broken.What, broken.Error));
        Receive<ReplicaControlProtocol.ReplicaLost>(lost => Fail(
            "lost its pipeline", new PeerLostException($"of replica {lost.Replica}", lost.Reason)));
        Receive<ReplicaControlProtocol.IEvent>(message => Context.Parent.Tell(message));
        Receive<Terminated>(stopped => Fail(
            "lost its replica actor", new PeerLostException(stopped.ActorRef.Path.Name, "it failed; see the log")));
        Receive<CopyDevicePages>(early => RefusePages(early.Job, $"{_command.Device} is not connected yet"));
        Receive<CancelDevicePages>(OnCancelDevicePages);
    }

    private void OnEngineReady(EngineReady message)
    {
        _engine = message.Engine;
        _preparedSeconds = message.Elapsed.TotalSeconds;
        LoadingMetrics.Seconds.Record(_preparedSeconds);
        _log.Info(
            "Position {Position} of {Epoch} is ready after {Seconds:0.0} s; its steps run on {Path}",
            _engine.Assignment.Position, _epoch, _preparedSeconds, _engine.Path);
        Become(Prepared);
        ReportPrepared();
    }

    private void OnConnect(ConnectPosition message)
    {
        _connect = message;
        _pageFetcher = _launcher.FetcherFor(_epoch, message.Endpoints);
        var self = Self;
        _launch = _launcher.LaunchAsync(
            message, Assignment, _engine!, error => self.Tell(new Broken("stopped", error)), _work.Token);
        _launch.PipeTo(
            Self,
            success: stage => new StageLaunched(stage),
            failure: error => new Broken("could not connect", error));
        Become(Connecting);
    }

    private void OnStageLaunched(StageLaunched message)
    {
        Become(Running);
        if (message.Stage.Pipeline is { } pipeline)
        {
            _replica = Context.Watch(Context.ActorOf(
                _replicaProps(_connect!, Assignment, pipeline), $"replica-{_epoch.Value}"));
        }

        Context.Parent.Tell(new StateChanged(new PositionReport(_epoch, Assignment, true, _replica)));
        if (_connect!.Origin is not { } origin)
        {
            ReportConnected();
            return;
        }

        Rehearse(origin);
    }

    private void ReportPrepared() =>
        Context.Parent.Tell(new DevicePrepared(_epoch, _command.Device, _preparedSeconds));

    private void ReportConnected()
    {
        Context.Parent.Tell(new DeviceConnected(_epoch, _command.Device));
        if (_replica is null) return;
        Context.Parent.Tell(new ReplicaStarted(_epoch, Assignment.Position.Replica, _replica));
    }

    private void Fail(string what, Exception error)
    {
        var reason = $"{what}: {error.Message}";
        if (error is PeerLostException) _log.Warning("Position {0} of {1} {2}", Assignment.Position, _epoch, reason);
        else _log.Error(error, "Position {0} of {1} {2}", Assignment.Position, _epoch, what);
        Context.Parent.Tell(new Failed(_epoch, reason, error));
    }

    private void OnClose(Close command)
    {
        Become(Closing);
        // Copies that are under way ask no device any more.
        foreach (var child in Context.GetChildren()) Context.Stop(child);
        var trim = command.Trim;
        DropEverything().PipeTo(
            Self, success: () => new EngineGone(trim, Fault: null), failure: fault => new EngineGone(trim, fault));
    }

    /// <summary>Completes when the engine is gone, faulted if the way there failed. What is under way is waited for: an
    /// engine or stage that comes late goes, too, and a step that computes cannot be interrupted.</summary>
    private Task DropEverything()
    {
        if (!_work.IsCancellationRequested) _work.Cancel();
        if (_replica is not null)
        {
            Context.Unwatch(_replica);
            Context.Stop(_replica);
        }

        _replica = null;
        var (preparation, launch) = (_preparation, _launch);
        (_preparation, _launch) = (null, null);
        return preparation is null ? Task.CompletedTask : EndAsync(preparation, launch);
    }

    private static async Task EndAsync(Task<IStageEngine> preparation, Task<IRunningStage>? launch)
    {
        try
        {
            if (launch is not null) await EndStageAsync(launch).ConfigureAwait(false);
        }
        finally
        {
            // Whatever became of the stage: every later position of the device waits for this engine's memory.
            await Task.WhenAny(preparation).ConfigureAwait(false);
            if (preparation.IsCompletedSuccessfully) (await preparation.ConfigureAwait(false)).Dispose();
        }
    }

    private static async Task EndStageAsync(Task<IRunningStage> launch)
    {
        await Task.WhenAny(launch).ConfigureAwait(false);
        if (!launch.IsCompletedSuccessfully) return;
        var stage = await launch.ConfigureAwait(false);
        try
        {
            stage.Dispose();
        }
        finally
        {
            await stage.Stopped.ConfigureAwait(false);
        }
    }

    /// <summary>Stop everything of the epoch; answered to the parent by <see cref="Closed"/>.</summary>
    internal sealed record Close(bool Trim) : INoSerializationVerificationNeeded;

    /// <summary>To the parent: nothing of the epoch is left.</summary>
    internal sealed record Closed(Epoch Epoch, bool Trim) : INoSerializationVerificationNeeded;

    /// <summary>To the parent: the epoch cannot go on here.</summary>
    internal sealed record Failed(Epoch Epoch, string Reason, Exception Error) : INoSerializationVerificationNeeded;

    internal sealed record StateChanged(PositionReport Report) : INoSerializationVerificationNeeded;

    private sealed record EngineReady(IStageEngine Engine, TimeSpan Elapsed) : INoSerializationVerificationNeeded;

    private sealed record StageLaunched(IRunningStage Stage) : INoSerializationVerificationNeeded;

    private sealed record EngineGone(bool Trim, Exception? Fault) : INoSerializationVerificationNeeded;

    private sealed record Broken(string What, Exception Error) : INoSerializationVerificationNeeded;

    private sealed record CopyEnded(long Job, IEpochMessage Answer) : INoSerializationVerificationNeeded;

    /// <summary>Passes on the first report, the last, and few in between: each one is shown to every gateway, and a
    /// large model has tens of thousands. Unlike <see cref="Progress{T}"/> it does so on the caller's thread, in
    /// order.</summary>
    private sealed class Throttled(TimeProvider clock, Action<LoadProgress> report) : IProgress<LoadProgress>
    {
        private readonly Lock _lock = new();
        private long? _reportedAt;

        public void Report(LoadProgress value)
        {
            lock (_lock)
            {
                var isDue = _reportedAt is not { } at || clock.GetElapsedTime(at) >= LoadingReportPeriod;
                if (!isDue && value.LoadedBytes < value.TotalBytes) return;
                _reportedAt = clock.GetTimestamp();
                report(value);
            }
        }
    }
}
