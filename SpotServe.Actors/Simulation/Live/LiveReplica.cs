using System.Collections.Immutable;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Simulation;

/// <summary>A simulated node, as the planner addresses it.</summary>
internal sealed record NodeAddress(string Node) : IAddress;

/// <summary>A simulated replica, as the planner addresses it.</summary>
internal sealed record ReplicaAddress(Epoch Epoch, int Replica) : IAddress;

/// <summary>The one gateway that reports what is asked.</summary>
internal sealed record GatewayAddress : IAddress
{
    public static GatewayAddress One { get; } = new();
}

/// <summary>A replica of one epoch, from its start until its pages are released.</summary>
/// <param name="Layout">Of its epoch.</param>
/// <param name="Expects">Old replicas that hand sequences to it.</param>
internal sealed record LiveReplica(
    Epoch Epoch, int Index, Layout Layout, ContinuousReplica Serving, ImmutableArray<int> Expects)
{
    /// <summary>To whom it is to hand over, once it has been told.</summary>
    public ImmutableArray<PlannerEffect.Target> Targets { get; set; } = [];

    public Epoch TargetEpoch { get; set; }

    /// <summary>Its requests since it was stopped, until somebody else has them; null while it runs.</summary>
    public List<(SimulatedRequest Request, bool HasCache)>? Held { get; set; }

    /// <summary>What its requests took, as its reports tell it.</summary>
    public RunningTime Running { get; } = new();

    /// <summary>Requests that were handed to it and wait for the others.</summary>
    public List<SimulatedRequest> Arrived { get; } = [];

    public HashSet<int> HandedOver { get; } = [];

    public bool Serves { get; set; }

    /// <summary>Its latest report said that it has nothing to do.</summary>
    public bool IsIdleToldOf { get; set; }

    /// <summary>Of all its positions.</summary>
    public ImmutableArray<DeviceId> Devices { get; } =
        [.. Layout.PositionsOf(Index).Select(Layout.DeviceAt)];

    public bool Uses(string node)
    {
        foreach (var device in Devices)
            if (device.Node == node) return true;
        return false;
    }
}
