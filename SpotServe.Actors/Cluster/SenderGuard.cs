using Akka.Actor;
using Akka.Cluster;
using Akka.Event;
using Akka.Remote;
using SpotServe.Actors.Remoting;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// Asks <see cref="Senders"/> with what this process knows of the cluster. Of one actor. It is hygiene among those who
/// proved the cluster's secret (docs/adr/0031): a member that was started with the wrong address, or an actor that
/// outlived its time, is told apart from the one whose words count (docs/adr/0032).
/// </summary>
internal sealed class SenderGuard(ActorSystem system, TimeProvider clock)
{
    private readonly RefusalLog _refusals = MemberRefusals.Of(system).Log(clock);
    private readonly PlannerIncarnation _planner = new();

    /// <param name="speaksFor">The node that the receiver knows a message to speak for, beyond what the message says
    /// itself; null for none.</param>
    public bool Passes(object message, IActorRef sender, string? speaksFor = null)
    {
        // In a system that nobody else reaches, those without a sender are of this process.
        var isUnsigned = sender.IsNobody() || sender.Equals(system.DeadLetters);
        var path = isUnsigned && Provider is IRemoteActorRefProvider ? null : sender.Path;
        var objection = Senders.Objection(message, path, new SenderRoles(IsControl, IsGpu))
            ?? (speaksFor is not null && (path is null || !Senders.IsOf(speaksFor, path.Address))
                ? $"it speaks for {speaksFor}"
                : null)
            ?? _planner.Objection(message, sender);
        if (objection is null) return true;
        Refuse(message, sender, objection);
        return false;
    }

    /// <summary>Whether a replica may be there: in this process, or on a gpu member.</summary>
    public bool MayBeReplica(IActorRef sender) => sender.Path.Address is var address
        && (address.HasLocalScope || IsGpu(address));

    public void Refuse(object message, IActorRef sender, string objection) =>
        _refusals.Warn($"Ignored {message.GetType().Name} from {sender.Path}: {objection}");

    private IActorRefProvider Provider => ((ExtendedActorSystem)system).Provider;

    private bool IsControl(Address address) => HasRole(address, MemberRoles.Control);

    private bool IsGpu(Address address) => HasRole(address, MemberRoles.Gpu);

    private bool HasRole(Address address, string role) =>
        Provider is not IClusterActorRefProvider
        || Akka.Cluster.Cluster.Get(system).State.Members.Any(
            member => member.Address == address && member.HasRole(role));
}

/// <summary>Messages of members that were refused, by any actor of the process: one log for all, so that no number of
/// actors makes it many lines.</summary>
internal sealed class MemberRefusals(ActorSystem system) : IExtension
{
    private RefusalLog? _log;

    public static MemberRefusals Of(ActorSystem system) => system.WithExtension<MemberRefusals, Provider>();

    public RefusalLog Log(TimeProvider clock) => LazyInitializer.EnsureInitialized(
        ref _log, () => new RefusalLog(Logging.GetLogger(system, typeof(SenderGuard)), clock, system));

    internal sealed class Provider : ExtensionIdProvider<MemberRefusals>
    {
        public override MemberRefusals CreateExtension(ExtendedActorSystem system) => new(system);
    }
}
