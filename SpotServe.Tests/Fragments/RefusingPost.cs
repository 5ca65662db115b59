using Akka.Actor;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Serialization;

namespace SpotServe.Tests.Fragments;

/// <summary>
/// Makes an actor system's long messages refused: every actor counts as one of another process, and what the test picks
/// counts as too long for any message.
/// </summary>
internal sealed class RefusingPost(Func<object, bool> isTooLong) : ExtensionIdProvider<LargeMessages>
{
    public static void InstallIn(ActorSystem system, Func<object, bool> isTooLong) =>
        system.RegisterExtension(new RefusingPost(isTooLong));

    public override LargeMessages CreateExtension(ExtendedActorSystem system) => new(
        new Codec(isTooLong),
        new FragmentLimits { WholeBytesMax = 1 },
        new Apart(),
        new Backlog(bytesMax: 1));

    private sealed class Codec(Func<object, bool> isTooLong) : IMessageCodec
    {
        public byte[] Write(object message) => isTooLong(message)
            ? throw new MessageTooLongException(message.GetType(), 17_000_000, FragmentLimits.MessageBytesMax)
            : [0];

        public object Read(byte[] bytes) => throw new NotSupportedException();
    }

    private sealed class Apart : IFragmentRoutes
    {
        public bool AreTogether(IActorRef one, IActorRef other) => false;

        public IActorRef RelayOf(IActorRef actor) => throw new NotSupportedException();
    }
}
