using Akka.Actor;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>Which address is that of a member with a role.</summary>
internal sealed record SenderRoles(Func<Address, bool> IsControl, Func<Address, bool> IsGpu);

/// <summary>A message that only control members have a reason to send, declared above this folder.</summary>
internal interface IControlsWord;

/// <summary>
/// Whether a message of the cluster's protocol comes from whom it has to come from: what is said of a node from the
/// process of that node, what a planner or a gateway says from a control member. The name of a node begins with the
/// address of its actor system. A sender without an address is of this process.
/// </summary>
internal static class Senders
{
    /// <summary>The node that a message speaks for; null when it speaks for none.</summary>
    public static string? SpeaksFor(object message) => message switch
    {
        RegisterNode register => register.Node.Node,
        NodeHoldings holdings => holdings.Node,
        NodeNotice notice => notice.Node,
        DeviceLoading loading => loading.Device.Node,
        DevicePrepared prepared => prepared.Device.Node,
        DeviceConnected connected => connected.Device.Node,
        DeviceFailed failed => failed.Device.Node,
        PositionReleased released => released.Device.Node,
        _ => null,
    };

    /// <summary>An actor that a message introduces as the sender's own; null when it introduces none.</summary>
    public static IActorRef? Introduces(object message) => message switch
    {
        RegisterNode register => register.NodeActor,
        ReplicaStarted started => started.ReplicaActor,
        RegisterGateway register => register.Gateway,
        GatewayLoad load => load.Gateway,
        _ => null,
    };

    /// <summary>Whether only the planner has a reason to say it.</summary>
    public static bool IsPlanners(object message) => message is IPlannerCommand or PlannerView or ViewChange;

    /// <summary>Whether only a control member has a reason to say it.</summary>
    public static bool IsControls(object message) => IsPlanners(message)
        || message is RegisterGateway or GatewayLoad or ChangeLayout or ChangeObjective or GetTimeline
            or IControlsWord;

    public static bool IsOf(string node, Address sender) => sender.HasLocalScope
        || node.StartsWith($"{sender.Host}:{sender.Port}#", StringComparison.Ordinal);

    /// <summary>Whether the path is that of the planner's singleton, wherever it runs.</summary>
    public static bool IsPlannersPath(ActorPath path) => path.Elements.SequenceEqual(MemberRoles.PlannerPath);

    /// <summary>Why a message is not taken; null when it is.</summary>
    /// <param name="sender">Null when there is none, which is how a message looks whose sender hides.</param>
    public static string? Objection(object message, ActorPath? sender, SenderRoles roles)
    {
        if (sender is null)
        {
            return SpeaksFor(message) is not null || Introduces(message) is not null || IsControls(message)
                ? "it has no sender"
                : null;
        }

        var address = sender.Address;
        if (address.HasLocalScope) return null;
        if (SpeaksFor(message) is { } node && !IsOf(node, address)) return $"it speaks for {node}";
        if (Introduces(message) is { } actor && actor.Path.Address != address && !actor.Path.Address.HasLocalScope)
            return $"it introduces {actor.Path}";
        if (IsControls(message) && !roles.IsControl(address)) return "no control node is there";
        // An operator's wish to have a node leave comes from a gateway first, and from the planner then.
        return IsPlanners(message) && message is not PreemptNode && !IsPlannersPath(sender)
            ? "the planner is not there"
            : null;
    }
}

/// <summary>
/// The planner that an actor listens to: of the highest term that was heard, and a term belongs to one actor. Whoever
/// names a term that another actor has named before made it up.
/// </summary>
internal sealed class PlannerIncarnation
{
    private long _term;
    private IActorRef? _planner;

    public string? Objection(object message, IActorRef sender)
    {
        var term = message switch
        {
            IPlannerCommand command => command.Term,
            PlannerView view => view.Term,
            ViewChange change => change.Term,
            _ => 0,
        };
        // One of an older planner is for its receiver to ignore, which says so in its own words.
        if (term <= 0 || term < _term) return null;
        if (term == _term && !sender.Equals(_planner)) return $"term {term} is that of {_planner}";
        (_term, _planner) = (term, sender);
        return null;
    }
}
