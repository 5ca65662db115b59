using Akka.Actor;
using SpotServe.Actors.Fragments;

namespace SpotServe.Tests.Fragments;

/// <summary>Long messages where all actors are together: nothing is ever written.</summary>
internal sealed class OneProcess : IMessageCodec, IFragmentRoutes
{
    private static readonly OneProcess Instance = new();

    public static LargeMessages Post { get; } =
        new(Instance, FragmentLimits.Default, Instance, new Backlog(bytesMax: 1));

    public bool AreTogether(IActorRef one, IActorRef other) => true;

    public IActorRef RelayOf(IActorRef actor) => throw new NotSupportedException();

    public byte[] Write(object message) => throw new NotSupportedException();

    public object Read(byte[] bytes) => throw new NotSupportedException();
}
