using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Configuration;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Remoting;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>
/// A process on the same network that has SpotServe's own assemblies: what it reaches without the cluster's secret, and
/// what it breaks with it.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class StrangerTests(StrangerCluster cluster) : IClassFixture<StrangerCluster>
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Process_without_the_secret_joins_nothing_and_disturbs_nothing()
    {
        var strangers = new[] { ClusterIdentity.OfSecret(new ClusterSecret("another secret")), null };

        await Task.WhenAll(strangers.Select(identity => Task.Run(() => KnockAsync(identity), Cancel)));

        await cluster.ServesAsBeforeAsync();
    }

    private async Task KnockAsync(ClusterIdentity? identity)
    {
        var address = Address.Parse($"akka.tcp://{ClusterSettings.SystemName}@{cluster.ClusterAddress}");
        await using var stranger = new Stranger(identity, isMember: true);
        var mail = Inbox.Create(stranger.System);
        Akka.Cluster.Cluster.Get(stranger.System).Join(address);
        var planner = stranger.System.ActorSelection(
            new RootActorPath(address) / "user" / "planner" / "singleton" / "planner");
        foreach (var message in Forged(mail.Receiver)) planner.Tell(message, mail.Receiver);
        var text = cluster.StoryAsync();
        await FloodAsync(IPEndPoint.Parse(cluster.ClusterAddress));

        Assert.Throws<TimeoutException>(() => mail.Receive(Patience));
        Assert.DoesNotContain(
            Akka.Cluster.Cluster.Get(stranger.System).State.Members, member => member.Address == address);
        Assert.StartsWith(await text, cluster.Story.Text, StringComparison.Ordinal);
    }

    /// <summary>The secret makes a member; what a member may not do is refused one message at a time.</summary>
    [Fact]
    public async Task Process_with_the_secret_and_hostile_messages_stops_nobody()
    {
        await using var hostile = new Stranger(
            ClusterIdentity.OfSecret(new ClusterSecret(StrangerCluster.Secret)), isMember: false);
        string[] actors = ["user/gateway", "user/node", "user/planner", "user/planner/singleton/planner", "user"];
        foreach (var process in cluster.Addresses)
        {
            var there = new RootActorPath(Address.Parse($"akka.tcp://{ClusterSettings.SystemName}@{process}"));
            foreach (var actor in actors)
            {
                var target = hostile.System.ActorSelection(there / actor.Split('/'));
                foreach (var message in Forged(hostile.Nobody).Concat(Stranger.RawMessages())) target.Tell(message);
            }
        }

        await cluster.ServesAsBeforeAsync();
        Assert.True(new FileInfo(cluster.LogFile).Length < 4 << 20, "the log tells of it at length");
    }

    /// <summary>What was done to clusters through an open port.</summary>
    private static object[] Forged(IActorRef gateway) =>
    [
        new ClusterProtocol.RegisterGateway(gateway),
        new ClusterProtocol.NodeRefused("go away"),
        new ClusterProtocol.NodeReleased("127.0.0.1:1#1"),
        new ClusterProtocol.PreemptNode("127.0.0.1:1#1", TimeSpan.Zero, "a stranger"),
        new ClusterProtocol.GetHoldings(1) { Term = long.MaxValue },
        new ClusterProtocol.PlannerView(
            new Epoch(long.MaxValue), PlannerPhase.Serving, "mine", null, null, new Epoch(long.MaxValue),
            [new ServingReplica(0, gateway)], [], []) { Term = long.MaxValue },
        PoisonPill.Instance,
        Kill.Instance,
    ];

    private static async Task FloodAsync(IPEndPoint port)
    {
        var random = new Random(11);
        var bytes = new byte[512];
        for (var i = 0; i < 500; i++)
        {
            random.NextBytes(bytes);
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(port, Cancel);
            await socket.SendAsync(bytes, Cancel);
        }
    }

    /// <summary>An actor system of the attacker's: Akka's own serializers, and one that sends any bytes.</summary>
    private sealed class Stranger : IAsyncDisposable
    {
        public Stranger(ClusterIdentity? identity, bool isMember)
        {
            var config = ConfigurationFactory.ParseString(
                $$"""
                akka.remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0 }
                akka.stdout-loglevel = OFF
                akka.loggers = []
                akka.actor.serializers.raw = "{{typeof(RawSerializer).AssemblyQualifiedName}}"
                akka.actor.serialization-bindings { "{{typeof(Raw).AssemblyQualifiedName}}" = raw }
                akka.actor.serializers.hyperion = "{{typeof(HyperionMessageSerializer).AssemblyQualifiedName}}"
                akka.actor.serialization-bindings {
                  "{{typeof(ClusterProtocol.IMessage).AssemblyQualifiedName}}" = hyperion
                }
                """).WithFallback(ClusterSettings.Gpu());
            System = ActorSystem.Create(
                ClusterSettings.SystemName,
                BootstrapSetup.Create().WithConfig(config).WithActorRefProvider(
                    isMember ? ProviderSelection.Cluster.Instance : ProviderSelection.Remote.Instance)
                    .And(new RemotingSetup(identity)));
            Nobody = System.ActorOf(Props.Empty);
        }

        public ActorSystem System { get; }

        public IActorRef Nobody { get; }

        /// <summary>For every serializer's number, bytes that are none of its own; ours, nested without end.</summary>
        public static IEnumerable<object> RawMessages()
        {
            var types = MessageTypes.OfSpotServe;
            types.TryGetIndex(typeof(ClusterProtocol.RegisterGateway), out var gateway);
            byte[] begin = BitConverter.GetBytes(types.Fingerprint);
            byte[] level = [254, (byte)gateway, (byte)(gateway >> 8)];
            yield return new Raw(5107, "", [.. begin, .. Enumerable.Repeat(level, 39_800).SelectMany(part => part)]);
            yield return new Raw(5107, "", [.. begin, 255, 255, 255, 255, 127]);
            var type = typeof(System.Text.StringBuilder).AssemblyQualifiedName!;
            foreach (var id in (int[])[1, 2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 22, 30, 36, 99])
            {
                foreach (var manifest in (string[])["", type, "STF", "A"])
                    yield return new Raw(id, manifest, [10, 3, 1, 2, 3]);
            }
        }

        public async ValueTask DisposeAsync() => await System.Terminate();
    }

    private sealed record Raw(int Identifier, string Type, byte[] Bytes);

    /// <summary>Akka asks it for number, manifest and bytes in turn; the message says all three.</summary>
    private sealed class RawSerializer(ExtendedActorSystem system)
        : Akka.Serialization.SerializerWithStringManifest(system)
    {
        [ThreadStatic]
        private static int _identifier;

        public override int Identifier => _identifier == 0 ? 7_777 : _identifier;

        public override string Manifest(object o) => ((Raw)o).Type;

        public override byte[] ToBinary(object obj)
        {
            // Akka reads the number after the bytes, on the same thread.
            _identifier = ((Raw)obj).Identifier;
            return ((Raw)obj).Bytes;
        }

        public override object FromBinary(byte[] bytes, string manifest) => throw new NotSupportedException();
    }
}
