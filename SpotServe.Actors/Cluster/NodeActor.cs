using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// One per node process: reports the node and its devices to the planner, and passes the planner's commands to the
/// shard actor of the device that they name.
/// </summary>
public sealed class NodeActor : ReceiveActor, IWithTimers
{
    /// <summary>How often the node reports; the planner takes ten missed reports for a loss.</summary>
    public static readonly TimeSpan ReportInterval = TimeSpan.FromMilliseconds(500);

    private readonly NodeInfo _node;
    private readonly ModelSpec _model;
    private readonly IActorRef _planner;
    private readonly Action<string> _onRefused;
    private readonly ImmutableArray<IActorRef> _shards;
    private readonly ILoggingAdapter _log = Context.GetLogger();

    /// <param name="planner">Proxy of the planner singleton.</param>
    /// <param name="shardProps">Props of the shard actor of a device, by device index.</param>
    /// <param name="onRefused">Called once when the planner will never take this node; the process then ends.</param>
    public NodeActor(
        NodeInfo node, ModelSpec model, IActorRef planner, Func<int, Props> shardProps, Action<string> onRefused)
    {
        _node = node;
        _model = model;
        _planner = planner;
        _onRefused = onRefused;
        _shards = [.. node.Devices.Select(device => Context.ActorOf(shardProps(device.Index), $"shard-{device.Index}"))];
        Receive<Report>(_ => _planner.Tell(new RegisterNode(_node, _model, Self)));
        Receive<LoadPosition>(message => ShardOf(message.Device.Index).Forward(message));
        Receive<ConnectPosition>(message => ShardOf(message.Device.Index).Forward(message));
        Receive<ReleasePosition>(message => ShardOf(message.Device.Index).Forward(message));
        Receive<NodeRefused>(message =>
        {
            _log.Error("Refused by the planner: {Reason}", message.Reason);
            _onRefused(message.Reason);
        });
        Receive<IEpochMessage>(_planner.Forward);   // from shards
    }

    public ITimerScheduler Timers { get; set; } = null!;

    protected override void PreStart() =>
        Timers.StartPeriodicTimer(nameof(Report), Report.Instance, TimeSpan.Zero, ReportInterval);

    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(
        maxNrOfRetries: 3,
        withinTimeRange: TimeSpan.FromMinutes(1),
        localOnlyDecider: error => error switch
        {
            InvariantException => Directive.Escalate,   // a bug: never restart over it
            Execution.EngineLostException => Directive.Stop,   // the device is gone; the planner hears the silence
            _ => Directive.Restart,
        });

    private IActorRef ShardOf(int index)
    {
        Invariant.Holds(index >= 0 && index < _shards.Length);
        return _shards[index];
    }

    private sealed record Report
    {
        public static Report Instance { get; } = new();
    }
}
