using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Cluster;

/// <summary>The conversation between nodes, the planner and the gateways about who serves what.</summary>
public static class ClusterProtocol
{
    public interface IMessage;

    /// <summary>Concerns one epoch; a receiver that knows a newer one ignores it.</summary>
    public interface IEpochMessage : IMessage
    {
        Epoch Epoch { get; }
    }

    // Node to planner.

    /// <summary>
    /// "I am here, with this." Sent every half second: planner failover and lost messages need no other cure.
    /// </summary>
    public sealed record RegisterNode(NodeInfo Node, ModelSpec Model, IActorRef NodeActor) : IMessage;

    public sealed record DeviceLoading(Epoch Epoch, DeviceId Device, long LoadedBytes, long TotalBytes) : IEpochMessage;

    /// <summary>The device holds the weights and pages of its assignment.</summary>
    public sealed record DeviceLoaded(Epoch Epoch, DeviceId Device, double Seconds) : IEpochMessage;

    /// <summary>The device's data-plane links are up and its engine thread runs.</summary>
    public sealed record DeviceConnected(Epoch Epoch, DeviceId Device) : IEpochMessage;

    /// <summary>
    /// Sent by the device on (d,0,0): requests for this replica go to <paramref name="ReplicaActor"/>.
    /// </summary>
    public sealed record ReplicaStarted(Epoch Epoch, int Replica, IActorRef ReplicaActor) : IEpochMessage;

    /// <summary>The device cannot go on in this epoch: its own failure, or a peer it lost.</summary>
    public sealed record DeviceFailed(Epoch Epoch, DeviceId Device, string Reason) : IEpochMessage;

    /// <summary>
    /// The node's cloud (or operator) takes it away at <paramref name="Deadline"/>. Repeated until answered by
    /// <see cref="NodeReleased"/>.
    /// </summary>
    /// <param name="Source">Who said so: "signal", "file", "admin", later a cloud's name.</param>
    public sealed record NodeNotice(string Node, DateTimeOffset Deadline, string Source) : IMessage;

    // Planner to node.

    /// <summary>Nothing in the cluster needs this node any more: it may go.</summary>
    public sealed record NodeReleased(string Node) : IMessage;

    /// <summary>An operator's notice, to the node that it names: it behaves as if its cloud had said so.</summary>
    public sealed record PreemptNode(string Node, TimeSpan Grace, string Source) : IMessage;

    /// <summary>This node can never serve here (another model, say): it stops, with the reason.</summary>
    public sealed record NodeRefused(string Reason) : IMessage;

    /// <summary>Take this position: drop what an older epoch had, load weights, allocate pages.</summary>
    public sealed record LoadPosition(Epoch Epoch, DeviceId Device, StageAssignment Assignment) : IEpochMessage;

    /// <summary>All devices have loaded: connect the links of the layout and start the engine thread.</summary>
    /// <param name="Endpoints">Data-plane endpoint ("host:port") of every node in the layout, by node name.</param>
    public sealed record ConnectPosition(
        Epoch Epoch,
        DeviceId Device,
        Layout Layout,
        ImmutableDictionary<string, string> Endpoints,
        int ContextMax) : IEpochMessage;

    /// <summary>The epoch is over for this device: stop its engine and free everything.</summary>
    public sealed record ReleasePosition(Epoch Epoch, DeviceId Device) : IEpochMessage;

    // Planner and gateways.

    /// <summary>Sent every second by each gateway: tell me what serves.</summary>
    public sealed record RegisterGateway(IActorRef Gateway) : IMessage;

    /// <summary>The planner's whole view, sent to gateways on every change and registration.</summary>
    public sealed record PlannerView(
        Epoch Epoch,
        PlannerPhase Phase,
        string Detail,
        ModelSpec? Model,
        Layout? Layout,
        ImmutableArray<IActorRef> Replicas,
        ImmutableArray<NodeInfo> Nodes,
        ImmutableArray<DeviceProgress> Loading) : IEpochMessage
    {
        /// <summary>
        /// What each replica of the epoch reported last, up to a second ago; those not heard yet are missing.
        /// </summary>
        public ImmutableArray<ReplicaControlProtocol.ReplicaLoad> Loads { get; init; } = [];
    }
}

/// <summary>What a node is and has.</summary>
/// <param name="Node">Unique name of this process: host:port#incarnation.</param>
/// <param name="Endpoint">Where its data plane listens, "host:port".</param>
public sealed record NodeInfo(string Node, string Endpoint, ImmutableArray<DeviceInfo> Devices)
{
    /// <summary>
    /// <see cref="DataPlane.ClusterSecret.Mark"/> of the node's secret: nodes with another one cannot connect.
    /// </summary>
    public string SecretMark { get; init; } = "";
}

/// <summary>
/// One device of a node; <paramref name="MemoryBytes"/> may be filled with weights, pages and buffers.
/// </summary>
public sealed record DeviceInfo(int Index, string Description, long MemoryBytes);

/// <summary>How far a device is with loading its weights.</summary>
public sealed record DeviceProgress(DeviceId Device, Position Position, long LoadedBytes, long TotalBytes);

/// <summary>What the planner is doing.</summary>
public enum PlannerPhase
{
    /// <summary>Waiting for enough nodes.</summary>
    Gathering,

    /// <summary>Devices read their weights.</summary>
    Loading,

    /// <summary>Devices connect to each other.</summary>
    Connecting,

    /// <summary>The layout serves.</summary>
    Serving,
}
