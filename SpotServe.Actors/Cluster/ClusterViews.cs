using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>What a node is and has.</summary>
/// <param name="Node">Unique name of this process: host:port#incarnation.</param>
/// <param name="Endpoint">Where its data plane listens, "host:port".</param>
public sealed record NodeInfo(string Node, string Endpoint, ImmutableArray<DeviceInfo> Devices)
{
    /// <summary>
    /// <see cref="DataPlane.ClusterSecret.Mark"/> of the node's secret: nodes with another one cannot connect.
    /// </summary>
    public string SecretMark { get; init; } = "";

    /// <summary>Whether its data plane is encrypted: nodes that differ in it cannot connect.</summary>
    public bool EncryptsData { get; init; }

    /// <summary>What it measured when the planner asked it to; null before that.</summary>
    public SourceRates? Rates { get; init; }

    /// <summary>Hash of all bytes of its weight files; null while it is not known, or the fingerprint covers
    /// them.</summary>
    public string? WeightsHash { get; init; }

    /// <summary>Of the node's process on its own machine; null where the node is none (in simulations).</summary>
    public int? ProcessId { get; init; }

    /// <summary>What the machine is to its cloud.</summary>
    public MachineInfo Machine { get; init; } = MachineInfo.Unknown;
}

/// <summary>A machine as its cloud names and sells it.</summary>
/// <param name="InstanceType">E.g. "g4dn.12xlarge"; empty when nobody has said.</param>
/// <param name="PricePerHour">Of the whole machine, in any currency; 0 when nobody has said.</param>
/// <param name="IsSpot">The cloud may take it away.</param>
/// <param name="Zone">E.g. "us-east-1a"; empty when nobody has said.</param>
public sealed record MachineInfo(string InstanceType, double PricePerHour, bool IsSpot, string Zone)
{
    public static MachineInfo Unknown { get; } = new("", 0, true, "");

    /// <summary>The machine itself, as its cloud calls it, e.g. "i-0123456789abcdef0"; empty when nobody has
    /// said.</summary>
    public string InstanceId { get; init; } = "";
}

/// <summary>A machine of the cluster.</summary>
/// <param name="Kind">Its devices, as layouts are planned for them.</param>
/// <param name="LeavesAt">When its cloud takes it away; null when it stays.</param>
/// <param name="Serves">The layout that serves, or did last, uses it.</param>
public sealed record FleetNode(
    string Node, MachineInfo Machine, string Kind, int Devices, DateTimeOffset? LeavesAt, bool Serves);

/// <summary>What is asked of one gateway, over its window of some half a minute.</summary>
/// <param name="PromptTokens">Mean of those that arrived.</param>
/// <param name="OutputTokens">Mean of those that ended; before any did, of what was asked for.</param>
/// <param name="Waiting">Requests that no replica has taken.</param>
/// <param name="ArrivalVariation">How unevenly requests come: the squared coefficient of variation of the times between
/// them, 0 of even ones, 1 by chance, more in bursts; or variance over mean of how many are open, where that is
/// less.</param>
public sealed record GatewayDemand(
    double RequestsPerSecond, double PromptTokens, double OutputTokens, int Waiting, double ArrivalVariation = 1);

/// <summary>
/// One device of a node; <paramref name="MemoryBytes"/> may be filled with weights, pages and buffers.
/// </summary>
public sealed record DeviceInfo(int Index, string Description, long MemoryBytes)
{
    /// <summary>Null when it has not measured itself.</summary>
    public DeviceSpeed? Speed { get; init; }

    /// <summary>Share of its machine's processor that it takes while it computes: 0.5 with one of two cores, 0 of a
    /// device that has processors of its own.</summary>
    public double ProcessorShare { get; init; }
}

/// <summary>Which view of the cluster a gateway has.</summary>
/// <param name="Number">Of those that a planner of this term showed, from 1.</param>
public sealed record ViewVersion(long Term, long Number);

/// <summary>How far a device is with getting its weights.</summary>
public sealed record DeviceProgress(DeviceId Device, Position Position, long LoadedBytes, long TotalBytes);

/// <summary>A replica that takes requests.</summary>
public sealed record ServingReplica(int Replica, IActorRef Actor);

/// <summary>What one device has in memory and runs.</summary>
/// <param name="Positions">Of every epoch that is not released.</param>
public sealed record DeviceHoldings(
    DeviceId Device, ImmutableArray<WeightSlice> Weights, ImmutableArray<PositionReport> Positions);

/// <summary>A position that a device has.</summary>
/// <param name="IsRunning">Its links are up and its engine thread runs.</param>
/// <param name="Replica">On the leader's position: the replica's actor.</param>
public sealed record PositionReport(Epoch Epoch, StageAssignment Assignment, bool IsRunning, IActorRef? Replica);

/// <summary>The epoch whose KV pages a new one goes on with.</summary>
/// <param name="Homes">Per new replica, the old one whose page ids it keeps; -1 for none.</param>
/// <param name="Expects">Per new replica, the old ones that hand sequences to it.</param>
/// <param name="SharedOn">Devices whose new engine goes on with the old one's pages in place.</param>
public sealed record PageOrigin(
    Epoch Epoch,
    Layout Layout,
    ImmutableArray<int> Homes,
    ImmutableArray<ImmutableArray<int>> Expects,
    ImmutableArray<DeviceId> SharedOn);

/// <summary>The part of a <see cref="PageOrigin"/> that concerns one position.</summary>
/// <param name="Epoch">Whose pages the position's replica goes on with.</param>
/// <param name="Replicas">The old replicas that hand sequences to it, in ascending order.</param>
/// <param name="Home">The old one whose page ids it keeps; null for none.</param>
/// <param name="IsShared">The position's engine goes on with the pages of its device's old one in place.</param>
public sealed record PositionOrigin(
    Epoch Epoch, ImmutableArray<ReplicaPlacement> Replicas, int? Home, bool IsShared)
{
    /// <summary>Old replicas that hand sequences over.</summary>
    public ImmutableArray<int> Expects => [.. Replicas.Select(replica => replica.Replica)];

    /// <param name="replica">New replica of the position on <paramref name="device"/>.</param>
    public static PositionOrigin Of(PageOrigin origin, int replica, DeviceId device) => new(
        origin.Epoch,
        [.. origin.Expects[replica].Select(old => ReplicaPlacement.Of(origin.Layout, old))],
        origin.Homes[replica] is >= 0 and var home ? home : null,
        origin.SharedOn.Contains(device));

    /// <exception cref="InvalidOperationException">That replica hands nothing over here.</exception>
    public ReplicaPlacement At(int oldReplica) =>
        Replicas.FirstOrDefault(replica => replica.Replica == oldReplica) ?? throw new InvalidOperationException(
            $"replica {oldReplica} of {Epoch} hands nothing over here; these do: {string.Join(", ", Expects)}");
}

/// <summary>What made a device fail.</summary>
public enum FailureKind
{
    /// <summary>The device itself, its memory or its engine.</summary>
    Device,

    /// <summary>A peer that it lost or did not reach.</summary>
    Peer,

    /// <summary>The model: a tensor is missing, say, or has a type that cannot be used. Other devices would fail
    /// likewise.</summary>
    Model,
}

/// <summary>What the planner is doing.</summary>
public enum PlannerPhase
{
    /// <summary>Nothing serves, and there are not enough nodes (yet).</summary>
    Gathering,

    /// <summary>Nodes report what they hold; then the next layout is chosen.</summary>
    Planning,

    /// <summary>Weights and pages go to their new places; what serves goes on serving.</summary>
    PreCopying,

    /// <summary>The old replicas have been told to stop; the rest of their pages moves.</summary>
    CuttingOver,

    /// <summary>The new layout serves; the old one's memory is given back.</summary>
    Releasing,

    /// <summary>The layout serves and nothing is to be done.</summary>
    Serving,

    /// <summary>The model cannot be loaded: nothing will ever serve, and nodes are sent away.</summary>
    CannotServe,
}
