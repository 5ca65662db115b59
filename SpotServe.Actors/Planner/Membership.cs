using Akka.Actor;
using Akka.Cluster;
using Akka.Remote;
using SpotServe.Actors.Remoting;

namespace SpotServe.Actors.Planner;

/// <summary>Tells the planner which members leave or are lost. Simulations have their own.</summary>
internal interface IMembership
{
    /// <summary>Tells this actor <see cref="MemberLost"/>, <see cref="MemberUnreachable"/>,
    /// <see cref="MemberSuspected"/>, <see cref="MemberRefuses"/> and <see cref="MemberLeaving"/>.</summary>
    void Subscribe(IActorContext context, IActorRef subscriber);
}

/// <summary>The connection to a member broke: it may be gone, or it may not; asking it tells.</summary>
/// <param name="Address">"host:port" of its actor system.</param>
internal sealed record MemberSuspected(string Address) : INoSerializationVerificationNeeded;

/// <summary>Where the member listened, its machine refuses connections: no process has that port any more.</summary>
/// <param name="Address">"host:port" of its actor system.</param>
internal sealed record MemberRefuses(string Address) : INoSerializationVerificationNeeded;

/// <summary>Some member cannot reach this one: whether nobody can is not said.</summary>
/// <param name="Address">"host:port" of its actor system.</param>
internal sealed record MemberUnreachable(string Address) : INoSerializationVerificationNeeded;

/// <summary>A member is gone.</summary>
/// <param name="Address">"host:port" of its actor system.</param>
/// <param name="How">E.g. "was downed".</param>
internal sealed record MemberLost(string Address, string How) : INoSerializationVerificationNeeded;

/// <summary>A member has begun to leave the cluster, with or without a notice.</summary>
/// <param name="Address">"host:port" of its actor system.</param>
internal sealed record MemberLeaving(string Address) : INoSerializationVerificationNeeded;

/// <summary>Membership as Akka.Cluster sees it.</summary>
internal sealed class AkkaMembership : IMembership
{
    public static AkkaMembership Instance { get; } = new();

    public void Subscribe(IActorContext context, IActorRef subscriber)
    {
        var listener = context.ActorOf(Props.Create(() => new Listener(subscriber)), "membership");
        Akka.Cluster.Cluster.Get(context.System).Subscribe(
            listener, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents,
            typeof(ClusterEvent.IMemberEvent), typeof(ClusterEvent.UnreachableMember));
    }

    private sealed class Listener : ReceiveActor
    {
        public Listener(IActorRef subscriber)
        {
            Receive<ClusterEvent.MemberLeft>(gone => subscriber.Tell(new MemberLeaving(NameOf(gone.Member))));
            Receive<ClusterEvent.MemberExited>(gone => subscriber.Tell(new MemberLeaving(NameOf(gone.Member))));
            Receive<ClusterEvent.MemberRemoved>(gone => Lost(gone.Member, "was removed from the cluster"));
            Receive<ClusterEvent.MemberDowned>(gone => Lost(gone.Member, "was downed"));
            Receive<ClusterEvent.UnreachableMember>(
                gone => subscriber.Tell(new MemberUnreachable(NameOf(gone.Member))));
            Receive<ClusterEvent.IMemberEvent>(_ => { });
            // The first sign of a process that was killed, long before the failure detector is sure.
            Receive<DisassociatedEvent>(broken =>
            {
                subscriber.Tell(new MemberSuspected(NameOf(broken.RemoteAddress)));
                // Akka itself lets a second pass before it connects again.
                _ = ListeningPort.IsRefusedAsync(broken.RemoteAddress, RefusalMax).PipeTo(
                    Self, success: isRefused => new Knocked(NameOf(broken.RemoteAddress), isRefused));
            });
            Receive<Knocked>(knocked =>
            {
                if (knocked.IsRefused) subscriber.Tell(new MemberRefuses(knocked.Address));
            });

            void Lost(Member member, string how) => subscriber.Tell(new MemberLost(NameOf(member), how));
        }

        /// <summary>A machine that is there refuses within a round trip; one that is gone never does.</summary>
        private static TimeSpan RefusalMax => TimeSpan.FromSeconds(1);

        protected override void PreStart()
        {
            Context.System.EventStream.Subscribe(Self, typeof(DisassociatedEvent));
            // Knocks once where nobody listens, so that the first loss does not wait for this to be compiled.
            _ = ListeningPort.IsRefusedAsync(new Address("tcp", "nobody", "127.0.0.1", 1), RefusalMax);
        }

        protected override void PostStop() => Akka.Cluster.Cluster.Get(Context.System).Unsubscribe(Self);

        private static string NameOf(Member member) => NameOf(member.Address);

        private static string NameOf(Address address) => $"{address.Host}:{address.Port}";

        private sealed record Knocked(string Address, bool IsRefused) : INoSerializationVerificationNeeded;
    }
}
