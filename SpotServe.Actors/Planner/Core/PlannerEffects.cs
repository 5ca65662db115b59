using System.Collections.Immutable;
using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>What the core wants done, in order. What follows a <see cref="Persist"/> is done once that is written; if
/// it cannot be written, never.</summary>
internal abstract record PlannerEffect
{
    private PlannerEffect()
    {
    }

    public sealed record Persist(PlannerEvents.IPlannerEvent Event) : PlannerEffect;

    /// <summary>Sends a message that carries no actors.</summary>
    public sealed record Send(IAddress To, object Message) : PlannerEffect;

    /// <summary>Sends <see cref="ClusterProtocol.ConnectPosition"/>.</summary>
    /// <param name="Nodes">Nodes of the layout.</param>
    public sealed record Connect(
        IAddress To,
        Epoch Epoch,
        DeviceId Device,
        Layout Layout,
        ImmutableDictionary<string, string> Endpoints,
        int ContextMax,
        ImmutableSortedDictionary<string, IAddress> Nodes,
        PageOrigin? Origin,
        long Term) : PlannerEffect;

    /// <summary>Sends <see cref="Replica.HandoverProtocol.BeginHandover"/> to an old replica.</summary>
    public sealed record BeginHandover(
        IAddress To, Epoch Epoch, Epoch NewEpoch, ImmutableArray<Target> Targets) : PlannerEffect;

    /// <summary>Shows all gateways how things stand.</summary>
    public sealed record Publish : PlannerEffect;

    /// <summary>Shows one gateway how things stand.</summary>
    public sealed record Show(IAddress Gateway) : PlannerEffect;

    public sealed record Log(LogSeverity Severity, string Template, ImmutableArray<object?> Values) : PlannerEffect;

    /// <param name="Leader">The new replica's leader.</param>
    public sealed record Target(
        int NewReplica,
        IAddress Leader,
        ImmutableArray<RequestId> Requests,
        bool IsHome,
        int PageCount,
        int ReservedPages);
}

internal enum LogSeverity
{
    Debug,
    Info,
    Warning,
}
