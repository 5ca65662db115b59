using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Cluster.Sharding;
using Akka.Event;
using Akka.Hosting;
using Akka.Remote.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Remoting;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.Serialization;

/// <summary>Two control nodes with the real settings: Akka's own traffic needs no JSON.</summary>
public sealed class ShardedMessagesTests : IAsyncLifetime
{
    private static readonly TimeSpan Limit = Waits.Max;

    private readonly IHost _first = Start();
    private readonly IHost _second = Start();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await _first.StartAsync(Cancel);
        await _second.StartAsync(Cancel);
    }

    [Fact]
    public async Task Entities_on_both_nodes_answer_and_nothing_is_refused()
    {
        var refused = System(_first).ActorOf(Props.Create(() => new RefusalLog()));
        var other = System(_second).ActorOf(Props.Create(() => new RefusalLog()));
        var address = Akka.Cluster.Cluster.Get(System(_first)).SelfAddress;
        await Akka.Cluster.Cluster.Get(System(_first)).JoinAsync(address, Cancel);
        await Akka.Cluster.Cluster.Get(System(_second)).JoinAsync(address, Cancel);
        var region = Region(_first);

        for (var i = 0; i < 30; i++)
        {
            var sent = new ReplicaProtocol.Cancel(new Epoch(i), new RequestId($"request-{i}"));
            Assert.Equal(sent, await region.Ask<ReplicaProtocol.Cancel>(sent, Limit, Cancel));
        }

        foreach (var log in (IActorRef[])[refused, other])
            Assert.Empty(await log.Ask<string[]>("report", Limit, Cancel));
    }

    public async ValueTask DisposeAsync()
    {
        await _second.StopAsync(CancellationToken.None);
        await _first.StopAsync(CancellationToken.None);
        _first.Dispose();
        _second.Dispose();
    }

    private static ActorSystem System(IHost host) => host.Services.GetRequiredService<ActorSystem>();

    private static IActorRef Region(IHost host) => host.Services.GetRequiredService<ActorRegistry>().Get<Entity>();

    private static IHost Start()
    {
        var host = Host.CreateApplicationBuilder();
        host.Logging.ClearProviders();
        host.Services.AddAkka(ClusterSettings.SystemName, builder => builder
            .AddHocon("akka.loglevel = WARNING, akka.stdout-loglevel = OFF, akka.loggers = []", HoconAddMode.Prepend)
            .AddHocon(ClusterSettings.Control(), HoconAddMode.Append)
            .AddSetup(new RemotingSetup(identity: null))
            .WithRemoting("127.0.0.1", 0)
            .WithClustering()
            .AddSpotServeSerialization()
            .WithShardRegion<Entity>(
                "entity",
                _ => Props.Create(() => new Entity()),
                new Extractor(),
                new ShardOptions { Role = "control", StateStoreMode = StateStoreMode.DData }));
        return host.Build();
    }

    private sealed class Extractor() : HashCodeMessageExtractor(maxNumberOfShards: 20)
    {
        public override string EntityId(object message) => ((ReplicaProtocol.Cancel)message).Id.Value;
    }

    private sealed class Entity : ReceiveActor
    {
        public Entity()
        {
            ReceiveAny(message => Sender.Tell(message));
        }
    }

    /// <summary>Collects what the serializers refused.</summary>
    private sealed class RefusalLog : ReceiveActor
    {
        private readonly List<string> _refusals = [];

        public RefusalLog()
        {
            Context.System.EventStream.Subscribe(Self, typeof(LogEvent));
            Receive<LogEvent>(e =>
            {
                var text = $"{e.Message} {e.Cause?.Message}";
                if (text.Contains("no known message type", StringComparison.Ordinal)) _refusals.Add(text);
            });
            Receive<string>(_ => Sender.Tell(_refusals.ToArray()));
        }
    }
}
