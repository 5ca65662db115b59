using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Execution;
using SpotServe.Actors.ModelFolder;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// One per device: owns its memory, and has a <see cref="PositionActor"/> for each epoch that the device takes part in.
/// Two live at once while one epoch follows the other: the older one serves, the newer one gets ready. An epoch that
/// was released or followed by a newer preparation is never taken up again.
/// </summary>
internal sealed class ShardActor : ReceiveActor
{
    private readonly DeviceId _device;
    private readonly IDeviceRuntime _runtime;
    private readonly IStageLauncher _launcher;
    private readonly Func<PreparePosition, Props> _positionProps;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly Dictionary<Epoch, OpenPosition> _positions = [];
    private readonly HashSet<Epoch> _closing = [];
    private Epoch _newest = Epoch.None;
    private bool _isProbing;

    /// <param name="positionProps">Props of a <see cref="PositionActor"/>.</param>
    public ShardActor(
        DeviceId device,
        IDeviceRuntime runtime,
        IStageLauncher launcher,
        Func<PreparePosition, Props> positionProps)
    {
        _device = device;
        _runtime = runtime;
        _launcher = launcher;
        _positionProps = positionProps;
        Receive<PreparePosition>(OnPrepare);
        Receive<ReleasePosition>(OnRelease);
        Receive<GetHoldings>(_ => Sender.Tell(new DeviceHoldings(
            _device, _runtime.Weights, [.. _positions.Values.Select(position => position.Report)])));
        Receive<ProbeSources>(OnProbe);
        Receive<ProbeEnded>(ended =>
        {
            _isProbing = false;
            Context.Parent.Tell(new Probed(ended.Rates));
        });
        Receive<IDeviceCommand>(OnCommand);
        Receive<PositionActor.StateChanged>(OnStateChanged);
        Receive<PositionActor.Failed>(OnFailed);
        Receive<PositionActor.Closed>(OnClosed);
        Receive<Terminated>(OnTerminated);
        Receive<IEpochMessage>(Context.Parent.Forward);
        Receive<ReplicaControlProtocol.IEvent>(Context.Parent.Forward);
        Receive<HandoverProtocol.IMessage>(Context.Parent.Forward);
    }

    protected override void PreRestart(Exception reason, object message)
    {
        TellOfAllPositions($"its actor failed: {reason.Message}");
        base.PreRestart(reason, message);
    }

    /// <summary>They end with this actor, and nobody else would tell: on a layout of one device no peer loses a
    /// link.</summary>
    private void TellOfAllPositions(string reason)
    {
        foreach (var epoch in _positions.Keys) Context.Parent.Tell(new DeviceFailed(epoch, _device, reason, null));
    }

    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(error => error switch
    {
        InvariantException => Directive.Escalate,   // a bug: never restart over it
        _ => Directive.Stop,   // Terminated becomes DeviceFailed
    });

    private void OnPrepare(PreparePosition command)
    {
        if (_positions.TryGetValue(command.Epoch, out var known))
        {
            known.Actor.Forward(command);
            return;
        }

        if (command.Epoch <= _newest)
        {
            _log.Debug("Ignored {0}: {1} was prepared here already", command, _newest);
            return;
        }

        _newest = command.Epoch;
        // The new position has room beside one that serves, if the planner says so, and beside nothing else: what was
        // being made ready before is not wanted any more, nor what serves no longer.
        foreach (var epoch in _positions.Keys.Where(epoch => epoch != command.Order.Predecessor).ToArray())
            Close(epoch, trim: false);

        var actor = Context.Watch(Context.ActorOf(_positionProps(command), $"position-{command.Epoch.Value}"));
        _positions.Add(
            command.Epoch,
            new OpenPosition(actor, new PositionReport(command.Epoch, command.Order.Assignment, false, null)));
    }

    private void OnRelease(ReleasePosition command)
    {
        if (command.Epoch > _newest) _newest = command.Epoch;
        if (_positions.ContainsKey(command.Epoch)) Close(command.Epoch, command.Trim);
        else if (!_closing.Contains(command.Epoch))
        {
            if (command.Trim) _runtime.Trim();
            Context.Parent.Tell(new PositionReleased(command.Epoch, _device));
        }
    }

    private void Close(Epoch epoch, bool trim)
    {
        if (!_positions.Remove(epoch, out var position)) return;
        _closing.Add(epoch);
        position.Actor.Tell(new PositionActor.Close(trim));
    }

    private void OnClosed(PositionActor.Closed closed)
    {
        _closing.Remove(closed.Epoch);
        if (closed.Trim) _runtime.Trim();
        Context.Parent.Tell(new PositionReleased(closed.Epoch, _device));
    }

    /// <summary>The planner repeats it until the node's reports have the answer.</summary>
    private void OnProbe(ProbeSources command)
    {
        if (_isProbing) return;
        _isProbing = true;
        var endpoints = new Dictionary<string, string> { [command.Peer.Node] = command.Endpoint };
        var request = new SliceRequest(command.Epoch, command.Peer, command.Slice, Pages: null, Urgent: true);
        _runtime.ProbeAsync(request, _launcher.FetcherFor(command.Epoch, endpoints), CancellationToken.None).PipeTo(
            Self,
            success: rates => new ProbeEnded(rates),
            failure: error =>
            {
                _log.Warning("{0} could not measure how fast weights come: {1}", _device, error.Message);
                return new ProbeEnded(SourceRates.Unknown);
            });
    }

    private void OnCommand(IDeviceCommand command)
    {
        if (_positions.TryGetValue(command.Epoch, out var position))
        {
            position.Actor.Forward(command);
            return;
        }

        if (command is CopyDevicePages copy) AnswerLost(copy.Job);
        else if (command is CancelDevicePages cancel) AnswerLost(cancel.Job);
        else if (command is ConnectPosition)
        {
            // The planner believes in a position that this device has not: it lost it, with an actor that failed.
            Context.Parent.Tell(new DeviceFailed(command.Epoch, _device, "it has no such position any more", null));
        }

        void AnswerLost(long job) => Sender.Tell(new DevicePagesLost(
            command.Epoch, job, _device, $"{_device} has no position in {command.Epoch}"));
    }

    private void OnStateChanged(PositionActor.StateChanged changed)
    {
        if (!_positions.TryGetValue(changed.Report.Epoch, out var position)) return;
        _positions[changed.Report.Epoch] = position with { Report = changed.Report };
    }

    private void OnFailed(PositionActor.Failed failed)
    {
        // Nothing is kept half-done but weights, which stay in the device's memory for the next plan.
        Close(failed.Epoch, trim: false);
        var lost = failed.Error as PeerLostException;
        Context.Parent.Tell(new DeviceFailed(
            failed.Epoch, _device, failed.Reason, lost?.Node, lost is { IsSilent: true })
        {
            Kind = failed.Error switch
            {
                PeerLostException => FailureKind.Peer,
                ModelFormatException => FailureKind.Model,
                _ => FailureKind.Device,
            },
        });
        if (failed.Error is not (EngineLostException or InvariantException)) return;
        TellOfAllPositions($"another of its positions stopped: {failed.Reason}");
        throw failed.Error;
    }

    private void OnTerminated(Terminated stopped)
    {
        foreach (var (epoch, position) in _positions.ToArray())
        {
            if (!position.Actor.Equals(stopped.ActorRef)) continue;
            _positions.Remove(epoch);
            Context.Parent.Tell(new DeviceFailed(epoch, _device, "its position's actor failed; see the log", null));
        }
    }

    /// <summary>To the node: what <see cref="ProbeSources"/> found.</summary>
    internal sealed record Probed(SourceRates Rates) : INoSerializationVerificationNeeded;

    private sealed record ProbeEnded(SourceRates Rates) : INoSerializationVerificationNeeded;

    private sealed record OpenPosition(IActorRef Actor, PositionReport Report);
}
