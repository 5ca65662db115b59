using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>What the core hears that is not a protocol's message as it stands: time that passes, and messages that
/// carry actors, with addresses in their place.</summary>
internal static class PlannerInputs
{
    /// <summary>Time has passed: limits are looked at.</summary>
    public sealed record Tick
    {
        public static Tick Instance { get; } = new();
    }

    public sealed record NodeReported(NodeInfo Node, ModelSpec Model, IAddress Actor);

    public sealed record HoldingsReported(long Round, string Node, ImmutableArray<HeldDevice> Devices);

    /// <summary>The leader of a new replica is there.</summary>
    public sealed record LeaderStarted(Epoch Epoch, int Replica, IAddress Leader);

    public sealed record GatewayReported(IAddress Gateway);

    public sealed record GatewayGone(IAddress Gateway);

    public sealed record DemandReported(IAddress Gateway, GatewayDemand Demand);

    public sealed record ObjectiveAsked(LayoutObjective? Objective, IAddress Asker);

    public sealed record LayoutAsked(LayoutDegrees? Wanted, IAddress Asker);

    public sealed record PreemptionAsked(ClusterProtocol.PreemptNode Command, IAddress Asker);
}

/// <summary>What one device has in memory and runs.</summary>
/// <param name="Positions">Of every epoch that is not released.</param>
internal sealed record HeldDevice(
    DeviceId Device, ImmutableArray<WeightSlice> Weights, ImmutableArray<HeldPosition> Positions);

/// <summary>A position that a device has.</summary>
/// <param name="IsRunning">Its links are up and its engine thread runs.</param>
/// <param name="Leader">On the leader's position: the replica's actor.</param>
internal sealed record HeldPosition(Epoch Epoch, StageAssignment Assignment, bool IsRunning, IAddress? Leader);
