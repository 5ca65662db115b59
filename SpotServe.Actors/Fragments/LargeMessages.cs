using System.Runtime.Serialization;
using Akka.Actor;

namespace SpotServe.Actors.Fragments;

/// <summary>Why a message was not sent, to its sender.</summary>
/// <param name="IsPermanent">It can never be sent as it is; false when there was no room.</param>
internal sealed record SendRefusal(string Reason, bool IsPermanent);

/// <summary>
/// Sends messages that may be too long for a frame of Akka.Remote (docs/adr/0030). Within a process, and while they are
/// short, they travel as all others do; longer ones go in fragments through the <see cref="FragmentRelay"/>s. What one
/// actor sends to another in this way keeps its order, whatever its length; delivery is at most once, as everywhere.
/// An extension of the actor system, for any thread.
/// </summary>
internal sealed class LargeMessages(
    IMessageCodec codec, FragmentLimits limits, IFragmentRoutes routes, Backlog backlog) : IExtension
{
    public static LargeMessages Of(ActorSystem system) => system.WithExtension<LargeMessages, Provider>();

    /// <summary>Most bytes of a message that goes whole.</summary>
    public int WholeBytesMax => limits.WholeBytesMax;

    /// <summary>Whether a message can be too long for a frame.</summary>
    public bool MayBeLong(IVariableSize message) => message.BytesMax > limits.WholeBytesMax;

    /// <summary>Sends a message of any length.</summary>
    /// <param name="sender">The actor that calls this. Never nobody: order is kept for each pair.</param>
    /// <returns>Null when it is on its way. Else it was not sent, and never will be: the sender has to deal with
    /// it.</returns>
    public SendRefusal? Tell(IActorRef target, object message, IActorRef sender) =>
        Tell(target, message, sender, isLatest: false);

    /// <summary>Sends a state that the next one replaces: of those that wait, only the latest is sent.</summary>
    /// <returns>As of the other; of one that waits nothing is known yet.</returns>
    public SendRefusal? TellLatest(IActorRef target, object message, IActorRef sender) =>
        Tell(target, message, sender, isLatest: true);

    /// <summary>Sends a message that is always short, behind long ones that wait to be sent to the same
    /// actor.</summary>
    public void TellInOrder(IActorRef target, object message, IActorRef sender)
    {
        var pair = new ActorPair(sender, target);
        if (routes.AreTogether(sender, target) || !backlog.Has(pair)) target.Tell(message, sender);
        else Enqueue(new OutgoingMessage(pair, message, Bytes: null, IsLatest: false));
    }

    /// <summary>Whether something that was sent to this actor waits.</summary>
    public bool IsWaiting(IActorRef target, IActorRef sender) => backlog.Has(new ActorPair(sender, target));

    private SendRefusal? Tell(IActorRef target, object message, IActorRef sender, bool isLatest)
    {
        if (routes.AreTogether(sender, target))
        {
            target.Tell(message, sender);
            return null;
        }

        var pair = new ActorPair(sender, target);
        var waits = backlog.Has(pair);
        byte[]? bytes = null;
        var isShort = message is IVariableSize { BytesMax: var most } && most <= limits.WholeBytesMax;
        // One that may be replaced is written when it is its turn.
        if (!isShort && !(waits && isLatest))
        {
            try
            {
                bytes = codec.Write(message);
            }
            catch (SerializationException error)
            {
                return new SendRefusal(error.Message, IsPermanent: true);
            }

            if (bytes.Length <= limits.WholeBytesMax) bytes = null;
        }

        if (waits || bytes is not null) return Enqueue(new OutgoingMessage(pair, message, bytes, isLatest));
        target.Tell(message, sender);
        return null;
    }

    private SendRefusal? Enqueue(OutgoingMessage message)
    {
        if (!backlog.TryAdd(message))
        {
            return new SendRefusal(
                $"{backlog.Bytes:N0} bytes wait already to be sent to other nodes; at most " +
                $"{limits.WaitingBytesMax:N0} do.", IsPermanent: false);
        }

        var (sender, target) = message.Pair;
        routes.RelayOf(sender).Tell(new FragmentRelay.Enqueue(message, routes.RelayOf(target)), sender);
        return null;
    }

    /// <summary>Makes the extension, and with it this process's relay.</summary>
    internal sealed class Provider : ExtensionIdProvider<LargeMessages>
    {
        public override LargeMessages CreateExtension(ExtendedActorSystem system)
        {
            var limits = FragmentLimits.Default;
            var codec = new SerializerCodec(system);
            var routes = new AddressRoutes(system);
            var backlog = new Backlog(limits.WaitingBytesMax);
            system.ActorOf(FragmentRelay.Props(codec, limits, routes, backlog), FragmentRelay.Name);
            return new LargeMessages(codec, limits, routes, backlog);
        }
    }
}
