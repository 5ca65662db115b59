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

    /// <summary>From the planner to a node. Each planner that starts has a higher term than all before it; a node that
    /// has heard a higher one ignores the command: it comes from a planner that was given up and woke up.</summary>
    public interface IPlannerCommand : IMessage
    {
        long Term { get; }
    }

    /// <summary>For one device of the node that gets it.</summary>
    public interface IDeviceCommand : IEpochMessage
    {
        DeviceId Device { get; }
    }

    // Node to planner.

    /// <summary>
    /// "I am here, with this." Sent at every <see cref="Interval"/>: planner failover and lost messages need no other
    /// cure.
    /// </summary>
    public sealed record RegisterNode(NodeInfo Node, ModelSpec Model, IActorRef NodeActor) : IMessage
    {
        public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);
    }

    /// <summary>Answers <see cref="GetHoldings"/>.</summary>
    public sealed record NodeHoldings(long Round, string Node, ImmutableArray<DeviceHoldings> Devices) : IMessage;

    public sealed record DeviceLoading(Epoch Epoch, DeviceId Device, LoadProgress Progress) : IEpochMessage;

    /// <summary>The device holds the weights and pages of its assignment.</summary>
    public sealed record DevicePrepared(Epoch Epoch, DeviceId Device, double Seconds) : IEpochMessage;

    /// <summary>The device's data-plane links are up and its engine thread runs.</summary>
    public sealed record DeviceConnected(Epoch Epoch, DeviceId Device) : IEpochMessage;

    /// <summary>
    /// Sent by the device on (d,0,0): requests for this replica go to <paramref name="ReplicaActor"/>.
    /// </summary>
    public sealed record ReplicaStarted(Epoch Epoch, int Replica, IActorRef ReplicaActor) : IEpochMessage;

    /// <summary>The device cannot go on in this epoch: its own failure, or a peer it lost.</summary>
    /// <param name="LostNode">The node whose loss it noticed, where it knows.</param>
    /// <param name="IsSilent">That node could not be reached; false when it closed a link.</param>
    public sealed record DeviceFailed(
        Epoch Epoch, DeviceId Device, string Reason, string? LostNode, bool IsSilent = false) : IEpochMessage
    {
        /// <summary>What has to change before another try can end otherwise.</summary>
        public FailureKind Kind { get; init; }
    }

    /// <summary>Nothing of that epoch is left on the device but weights.</summary>
    public sealed record PositionReleased(Epoch Epoch, DeviceId Device) : IEpochMessage;

    /// <summary>
    /// The node's cloud (or operator) takes it away at <paramref name="Deadline"/>. Repeated until answered by
    /// <see cref="NodeReleased"/>.
    /// </summary>
    /// <param name="Source">Who said so: "signal", "file", "admin", later a cloud's name.</param>
    public sealed record NodeNotice(string Node, DateTimeOffset Deadline, string Source) : IMessage;

    // Planner to node. Every command may be repeated: what was done is reported again.

    /// <summary>What do your devices hold and run?</summary>
    public sealed record GetHoldings(long Round) : IPlannerCommand
    {
        public long Term { get; init; }
    }

    /// <summary>Nothing in the cluster needs this node any more: it may go.</summary>
    public sealed record NodeReleased(string Node) : IPlannerCommand
    {
        public long Term { get; init; }
    }

    /// <summary>An operator's notice, to the planner and from there to the node that it names: the node behaves as if
    /// its cloud had said so.</summary>
    public sealed record PreemptNode(string Node, TimeSpan Grace, string Source) : IPlannerCommand
    {
        /// <summary>0 on its way to the planner.</summary>
        public long Term { get; init; }
    }

    /// <summary>This node can never serve here (another model, say): it stops, with the reason.</summary>
    public sealed record NodeRefused(string Reason) : IPlannerCommand
    {
        public long Term { get; init; }
    }

    /// <summary>Get this position ready while older epochs go on.</summary>
    /// <param name="Endpoints">Data-plane endpoint ("host:port") of every node that weights come from.</param>
    public sealed record PreparePosition(
        Epoch Epoch,
        DeviceId Device,
        PreparationOrder Order,
        ImmutableDictionary<string, string> Endpoints) : IDeviceCommand, IPlannerCommand
    {
        public long Term { get; init; }
    }

    /// <summary>Measure how fast weights come to this device: from a peer, and from its model folder. The answer is in
    /// the node's reports, <see cref="NodeInfo.Rates"/>.</summary>
    /// <param name="Peer">A device that has <paramref name="Slice"/>.</param>
    /// <param name="Slice">Weights of one layer.</param>
    /// <param name="Endpoint">Data-plane endpoint ("host:port") of the peer's node.</param>
    public sealed record ProbeSources(Epoch Epoch, DeviceId Device, DeviceId Peer, WeightSlice Slice, string Endpoint)
        : IDeviceCommand, IPlannerCommand
    {
        public long Term { get; init; }
    }

    /// <summary>All devices are ready: connect the links of the replica and start the engine thread. It has what the
    /// position needs to know, not the layout: its length depends on the replica's size alone.</summary>
    /// <param name="Replica">The position's own.</param>
    /// <param name="Endpoints">Data-plane endpoint ("host:port") of every node of the replica, and of those that pages
    /// come from.</param>
    /// <param name="Nodes">To the replica's leader: node actors of the replica's nodes, which have pages copied. Empty
    /// for others.</param>
    public sealed record ConnectPosition(
        Epoch Epoch,
        DeviceId Device,
        ReplicaPlacement Replica,
        ImmutableDictionary<string, string> Endpoints,
        int ContextMax,
        ImmutableDictionary<string, IActorRef> Nodes,
        PositionOrigin? Origin) : IDeviceCommand, IPlannerCommand
    {
        public long Term { get; init; }
    }

    /// <summary>The epoch is over for this device: stop its engine.</summary>
    /// <param name="Trim">Also give back weights that no other engine on the device uses.</param>
    public sealed record ReleasePosition(Epoch Epoch, DeviceId Device, bool Trim) : IDeviceCommand, IPlannerCommand
    {
        public long Term { get; init; }
    }

    // Leader of a replica to its devices, through their nodes.

    /// <summary>The device's part of <see cref="HandoverProtocol.CopyPages"/>. Answered to the sender by
    /// <see cref="DevicePagesCopied"/> or <see cref="DevicePagesLost"/>.</summary>
    public sealed record CopyDevicePages(
        Epoch Epoch,
        DeviceId Device,
        long Job,
        int OldReplica,
        ImmutableArray<int> From,
        ImmutableArray<int> To,
        bool Urgent) : IDeviceCommand;

    /// <summary>Nobody wants the pages of that copy any more. Answered as the copy is, once nothing writes to them;
    /// one that was not asked for yet is not begun later.</summary>
    public sealed record CancelDevicePages(Epoch Epoch, DeviceId Device, long Job) : IDeviceCommand;

    public sealed record DevicePagesCopied(Epoch Epoch, long Job, DeviceId Device, long Bytes) : IEpochMessage;

    public sealed record DevicePagesLost(Epoch Epoch, long Job, DeviceId Device, string Reason) : IEpochMessage;

    // Operators and the planner.

    /// <summary>Serve with these degrees as soon as they fit; null picks by the devices that are there.</summary>
    public sealed record ChangeLayout(LayoutDegrees? Wanted) : IMessage;

    /// <summary>Choose layouts for this; null fills the devices with one replica.</summary>
    public sealed record ChangeObjective(LayoutObjective? Objective) : IMessage;

    /// <summary>Answers <see cref="ChangeObjective"/>, <see cref="ChangeLayout"/> and
    /// <see cref="PreemptNode"/>.</summary>
    /// <param name="Refusal">Null when it will be done; else why not.</param>
    public sealed record OperatorAnswer(string? Refusal) : IMessage;

    // Planner and gateways.

    /// <summary>Sent every second by each gateway: tell me what serves. Answered by <see cref="ViewChange"/>, or by
    /// <see cref="PlannerView"/> when that is of no use.</summary>
    public sealed record RegisterGateway(IActorRef Gateway) : IMessage
    {
        /// <summary>The view that it has; null when it needs a whole one.</summary>
        public ViewVersion? Known { get; init; }
    }

    /// <summary>Sent every second by each gateway: so much is asked of me.</summary>
    public sealed record GatewayLoad(IActorRef Gateway, GatewayDemand Demand) : IMessage;

    /// <summary>The planner's whole view, sent to a gateway that has none to which changes could be applied. Lists are
    /// in the order of names, numbers and positions.</summary>
    /// <param name="Epoch">The newest epoch that was decided.</param>
    /// <param name="ServingEpoch">The epoch of <paramref name="Replicas"/>.</param>
    /// <param name="StatusLine">For a person: what the planner does or waits for.</param>
    /// <param name="Layout">The newest layout: it serves, or is being made ready.</param>
    /// <param name="Replicas">Who takes requests now, whatever the phase; empty when nobody does.</param>
    public sealed record PlannerView(
        Epoch Epoch,
        PlannerPhase Phase,
        string StatusLine,
        ModelSpec? Model,
        Layout? Layout,
        Epoch ServingEpoch,
        ImmutableArray<ServingReplica> Replicas,
        ImmutableArray<NodeInfo> Nodes,
        ImmutableArray<DeviceProgress> Loading) : IEpochMessage
    {
        /// <summary>Of the planner; a gateway that has heard a higher one ignores the view.</summary>
        public long Term { get; init; }

        /// <summary>Of the views of this term, from 1.</summary>
        public long Number { get; init; }

        /// <summary>
        /// What each replica of the epoch reported last, up to a second ago; those not heard yet are missing.
        /// </summary>
        public ImmutableArray<ReplicaControlProtocol.ReplicaLoad> Loads { get; init; } = [];

        /// <summary>The latest change of layout that is over and of which all is known; null before one, or when it was
        /// before this planner.</summary>
        public ReconfigurationRecord? Latest { get; init; }

        /// <summary>Nodes that were given notice, with their deadlines.</summary>
        public ImmutableDictionary<string, DateTimeOffset> Leaving { get; init; } =
            ImmutableDictionary<string, DateTimeOffset>.Empty;
    }

    /// <summary>What is new since a view, sent to gateways on every change; once a second at least, if only to say that
    /// nothing is. A gateway that has another view than <paramref name="From"/> asks for a whole one.</summary>
    /// <param name="From">Number of the view that it applies to.</param>
    /// <param name="To">Number of the view that it leads to.</param>
    public sealed record ViewChange(
        long Term, long From, long To, Epoch Epoch, PlannerPhase Phase, string StatusLine, Epoch ServingEpoch)
        : IEpochMessage
    {
        /// <summary>Null when it is as before, as the next two.</summary>
        public ModelSpec? Model { get; init; }

        public Layout? Layout { get; init; }

        public ReconfigurationRecord? Latest { get; init; }

        /// <summary>New, or other than before; as the lists after it.</summary>
        public ImmutableArray<ServingReplica> Replicas { get; init; } = [];

        public ImmutableArray<int> ReplicasGone { get; init; } = [];

        public ImmutableArray<NodeInfo> Nodes { get; init; } = [];

        public ImmutableArray<string> NodesGone { get; init; } = [];

        public ImmutableArray<DeviceProgress> Loading { get; init; } = [];

        public ImmutableArray<DeviceId> LoadingGone { get; init; } = [];

        public ImmutableArray<ReplicaControlProtocol.ReplicaLoad> Loads { get; init; } = [];

        public ImmutableArray<int> LoadsGone { get; init; } = [];

        public ImmutableArray<LeavingNode> Leaving { get; init; } = [];

        public ImmutableArray<string> LeavingGone { get; init; } = [];
    }

    public sealed record LeavingNode(string Node, DateTimeOffset Deadline);

    /// <summary>Asks for the timeline; answered by <see cref="Timeline"/>.</summary>
    public sealed record GetTimeline : IMessage;

    /// <summary>Asks which machines there are and which are wanted; answered by <see cref="FleetTold"/>.</summary>
    public sealed record GetFleet : IMessage;

    /// <param name="Wish">Null before the first.</param>
    public sealed record FleetTold(FleetWish? Wish, ImmutableArray<FleetNode> Nodes) : IMessage;

    /// <summary>Asks what the planner decides from; answered by <see cref="PlanningInputsTold"/>.</summary>
    public sealed record GetPlanningInputs : IMessage;

    /// <param name="Json">A <see cref="PlanningRecord"/>, as <see cref="PlanningInputsJson"/> writes it.</param>
    public sealed record PlanningInputsTold(string Json) : IMessage;

    /// <summary>The latest reconfigurations, oldest first; the one under way, if any, is last.</summary>
    public sealed record Timeline(ImmutableArray<ReconfigurationRecord> Reconfigurations) : IMessage;
}
