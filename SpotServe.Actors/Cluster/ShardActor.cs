using System.Diagnostics;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// One per device: loads the position that the planner gives it, connects it, runs it. States in order of life: Empty,
/// Loading, Loaded, Connecting, Running. A position of a newer epoch is taken in any state and drops all that the
/// older one had; results of work begun for an older epoch are disposed of when they arrive.
/// </summary>
public sealed class ShardActor : ReceiveActor
{
    private readonly DeviceId _device;
    private readonly IDeviceRuntime _runtime;
    private readonly IStageLauncher _launcher;
    private readonly Func<ConnectPosition, StageAssignment, IStepPipeline, Props> _replicaProps;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private Epoch _epoch = Epoch.None;
    private CancellationTokenSource _work = new();
    private StageAssignment? _assignment;
    private IStageEngine? _engine;
    private IRunningStage? _stage;
    private IActorRef? _replica;

    /// <param name="replicaProps">Props of the replica actor, made on the leader's position only.</param>
    public ShardActor(
        DeviceId device,
        IDeviceRuntime runtime,
        IStageLauncher launcher,
        Func<ConnectPosition, StageAssignment, IStepPipeline, Props> replicaProps)
    {
        _device = device;
        _runtime = runtime;
        _launcher = launcher;
        _replicaProps = replicaProps;
        Become(Empty);
    }

    protected override void PreRestart(Exception reason, object message)
    {
        // Nobody else would tell: on a layout of one device no peer loses a link.
        Report(new DeviceFailed(_epoch, _device, $"its actor failed: {reason.Message}"));
        base.PreRestart(reason, message);
    }

    protected override void PostStop()
    {
        DropPosition();
        _work.Dispose();
    }

    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(error => error switch
    {
        InvariantException => Directive.Escalate,   // a bug: never restart over it
        _ => Directive.Stop,   // its pipeline goes with it; Terminated becomes DeviceFailed
    });

    private void Empty() => Common();

    private void Loading()
    {
        Receive<EngineLoaded>(IsCurrent, OnEngineLoaded);
        Common();
    }

    private void Loaded()
    {
        Receive<ConnectPosition>(IsCurrent, OnConnect);
        Common();
    }

    private void Connecting()
    {
        Receive<StageLaunched>(IsCurrent, OnStageLaunched);
        Common();
    }

    private void Running() => Common();

    private void Common()
    {
        Receive<LoadPosition>(message => message.Epoch > _epoch, OnLoad);
        Receive<ReleasePosition>(message => message.Epoch >= _epoch, OnRelease);
        Receive<PositionFailed>(IsCurrent, OnFailed);
        Receive<ReplicaControlProtocol.ReplicaLost>(lost => lost.Epoch == _epoch, OnReplicaLost);
        Receive<ReplicaControlProtocol.ReplicaLoad>(load => load.Epoch == _epoch, load => Context.Parent.Tell(load));
        Receive<ReplicaControlProtocol.IEvent>(_ => { });
        Receive<Terminated>(stopped => stopped.ActorRef.Equals(_replica), OnReplicaStopped);
        Receive<Terminated>(_ => { });   // of an older epoch
        Receive<EngineLoaded>(stale => stale.Engine.Dispose());
        Receive<StageLaunched>(stale => stale.Stage.Dispose());
        Receive<IEpochMessage>(stale => _log.Debug("Ignored {Message}: epoch is now {Epoch}", stale, _epoch));
    }

    private bool IsCurrent(IEpochMessage message) => message.Epoch == _epoch;

    private void OnLoad(LoadPosition message)
    {
        DropPosition();
        _epoch = message.Epoch;
        _assignment = message.Assignment;
        var epoch = message.Epoch;
        var device = _device;
        var started = Stopwatch.GetTimestamp();
        var parent = Context.Parent;
        var progress = new Forward(loaded => parent.Tell(
            new DeviceLoading(epoch, device, loaded.LoadedBytes, loaded.TotalBytes)));
        _log.Info(
            "Loading position {Position}, layers {Layers}", message.Assignment.Position, message.Assignment.Layers);
        _runtime.PrepareAsync(
            PreparationOrder.FromFolder(message.Assignment), NoPeers.Instance, progress, _work.Token).PipeTo(
            Self,
            success: engine => new EngineLoaded(epoch, engine, Stopwatch.GetElapsedTime(started)),
            failure: error => new PositionFailed(epoch, "could not load its weights", error));
        Become(Loading);
    }

    private void OnEngineLoaded(EngineLoaded message)
    {
        _engine = message.Engine;
        Become(Loaded);
        Report(new DeviceLoaded(_epoch, _device, message.Elapsed.TotalSeconds));
    }

    private void OnConnect(ConnectPosition message)
    {
        var self = Self;
        var epoch = _epoch;
        _launcher.LaunchAsync(
            message, _assignment!, _engine!,
            error => self.Tell(new PositionFailed(epoch, "stopped", error)),
            _work.Token).PipeTo(
                Self,
                success: stage => new StageLaunched(epoch, stage, message),
                failure: error => new PositionFailed(epoch, "could not connect", error));
        Become(Connecting);
    }

    private void OnStageLaunched(StageLaunched message)
    {
        _stage = message.Stage;
        Become(Running);
        Report(new DeviceConnected(_epoch, _device));
        if (_stage.Pipeline is not { } pipeline) return;
        _replica = Context.Watch(Context.ActorOf(
            _replicaProps(message.Position, _assignment!, pipeline), $"replica-{_epoch.Value}"));
        Report(new ReplicaStarted(_epoch, _assignment!.Position.Replica, _replica));
    }

    private void OnRelease(ReleasePosition message)
    {
        DropPosition();
        _epoch = message.Epoch;
        Become(Empty);
    }

    private void OnFailed(PositionFailed message)
    {
        // Nothing is kept half-done: the next plan gives this device a position from scratch.
        var reason = $"{message.What}: {message.Error.Message}";
        var position = _assignment?.Position;
        if (message.Error is PeerLostException) _log.Warning("Position {Position} {Reason}", position, reason);
        else _log.Error(message.Error, "Position {Position} {What}", position, message.What);
        DropPosition();
        Become(Empty);
        Report(new DeviceFailed(_epoch, _device, reason));
        if (message.Error is EngineLostException or InvariantException) throw message.Error;
    }

    private void OnReplicaLost(ReplicaControlProtocol.ReplicaLost lost) => OnFailed(new PositionFailed(
        _epoch, "lost its pipeline", new PeerLostException($"of replica {lost.Replica}", lost.Reason)));

    private void OnReplicaStopped(Terminated stopped) => OnFailed(new PositionFailed(
        _epoch,
        "lost its replica actor",
        new PeerLostException($"{stopped.ActorRef.Path.Name}", "it failed; see the log")));

    private void DropPosition()
    {
        _work.Cancel();
        _work.Dispose();
        _work = new CancellationTokenSource();
        if (_replica is not null) Context.Stop(_replica);
        _replica = null;
        _stage?.Dispose();
        if (_engine is { } engine)
        {
            // A step that computes cannot be interrupted; its engine goes when it is over.
            _ = (_stage?.Stopped ?? Task.CompletedTask).ContinueWith(
                _ => engine.Dispose(), CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }

        _stage = null;
        _engine = null;
        _assignment = null;
    }

    private static void Report(IMessage message) => Context.Parent.Tell(message);

    private sealed record EngineLoaded(Epoch Epoch, IStageEngine Engine, TimeSpan Elapsed) : IEpochMessage;

    private sealed record StageLaunched(Epoch Epoch, IRunningStage Stage, ConnectPosition Position) : IEpochMessage;

    private sealed record PositionFailed(Epoch Epoch, string What, Exception Error) : IEpochMessage;

    /// <summary>Unlike <see cref="Progress{T}"/> it reports on the caller's thread, in order.</summary>
    private sealed class Forward(Action<LoadProgress> report) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => report(value);
    }
}
