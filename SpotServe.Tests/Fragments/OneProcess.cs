using Akka.Actor;
using SpotServe.Actors.Fragments;

namespace SpotServe.Tests.Fragments;

/// <summary>Sending where all actors live in one process: every message arrives whole and is never written.</summary>
internal static class OneProcess
{
    public static LargeMessages Messages() =>
        new(new NeverWritten(), new FragmentLimits(), new Together(), new Backlog(bytesMax: 1));

    private sealed class NeverWritten : IMessageCodec
    {
        public byte[] Write(object message) => throw new NotSupportedException();

        public object Read(byte[] bytes) => throw new NotSupportedException();
    }

    private sealed class Together : IFragmentRoutes
    {
        public bool AreTogether(IActorRef one, IActorRef other) => true;

        public IActorRef RelayOf(IActorRef actor) => throw new NotSupportedException();
    }
}
