using Akka.Actor;
using Akka.Cluster;
using Akka.Event;
using Akka.Remote;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Remoting;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// Whether a message of the cluster's protocol comes from whom it has to come from: what is said of a node from the
/// process of that node, what a planner says from a control member. The name of a node begins with the address of its
/// actor system. A sender without an address is of this process.
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
    public static bool IsPlanners(object message) =>
        message is IPlannerCommand or PlannerView;

    public static bool IsOf(string node, Address sender) => sender.HasLocalScope
        || node.StartsWith($"{sender.Host}:{sender.Port}#", StringComparison.Ordinal);

    /// <summary>Why a message is not taken; null when it is.</summary>
    /// <param name="isControl">Whether an address is that of a control member.</param>
    /// <param name="sender">Null when there is none, which is how a message looks whose sender hides.</param>
    public static string? Objection(object message, Address? sender, Func<Address, bool> isControl)
    {
        if (sender is null)
        {
            return SpeaksFor(message) is not null || Introduces(message) is not null || IsPlanners(message)
                ? "it has no sender"
                : null;
        }

        if (sender.HasLocalScope) return null;
        if (SpeaksFor(message) is { } node && !IsOf(node, sender)) return $"it speaks for {node}";
        if (Introduces(message) is { } actor && actor.Path.Address != sender && !actor.Path.Address.HasLocalScope)
            return $"it introduces {actor.Path}";
        return IsPlanners(message) && !isControl(sender) ? "no control node is there" : null;
    }
}

/// <summary>Asks <see cref="Senders"/> with what this process knows of the cluster. Of one actor.</summary>
internal sealed class SenderGuard(ActorSystem system, ILoggingAdapter log, TimeProvider clock)
{
    private readonly RefusalLog _refusals = new(log, clock);

    public bool Passes(object message, IActorRef sender)
    {
        // In a system that nobody else reaches, those without a sender are of this process.
        var isUnsigned = sender.IsNobody() || sender.Equals(system.DeadLetters);
        var address = isUnsigned && Provider is IRemoteActorRefProvider ? null : sender.Path.Address;
        if (Senders.Objection(message, address, IsControl) is not { } objection) return true;
        _refusals.Warn($"Ignored {message.GetType().Name} from {sender.Path}: {objection}");
        return false;
    }

    private IActorRefProvider Provider => ((ExtendedActorSystem)system).Provider;

    private bool IsControl(Address address) =>
        Provider is not IClusterActorRefProvider
        || Akka.Cluster.Cluster.Get(system).State.Members.Any(
            member => member.Address == address && member.HasRole(ControlHosting.ControlRole));
}
