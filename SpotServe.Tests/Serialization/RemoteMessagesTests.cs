using Akka.Actor;
using Akka.Hosting;
using Akka.Remote.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.Serialization;

public sealed class RemoteMessagesTests : IAsyncLifetime
{
    private static readonly TimeSpan Limit = Waits.Max;

    private readonly IHost _left = Start();
    private readonly IHost _right = Start();

    public async ValueTask InitializeAsync()
    {
        await _left.StartAsync(TestContext.Current.CancellationToken);
        await _right.StartAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Message_crosses_two_systems_and_the_answer_finds_its_way_back()
    {
        var echo = await FarEchoAsync();
        var sent = new ReplicaProtocol.TokensGenerated(new Epoch(7), new RequestId("r"), 3, [5, 6], FinishReason.Stop);

        var answer = await echo.Ask<ReplicaProtocol.TokensGenerated>(
            sent, Limit, TestContext.Current.CancellationToken);

        SameContent.Holds(sent, answer, "answer");
        Assert.NotSame(sent, answer);
    }

    [Fact]
    public async Task Message_of_an_unbound_type_is_dropped_and_the_next_one_still_arrives()
    {
        var echo = await FarEchoAsync();
        var sent = new ReplicaProtocol.Cancel(new Epoch(7), new RequestId("r"));

        echo.Tell(new TestProtocol.Cat("never arrives"));
        var answer = await echo.Ask<ReplicaProtocol.Cancel>(sent, Limit, TestContext.Current.CancellationToken);

        Assert.Equal(sent, answer);
    }

    [Fact]
    public void Unbound_types_never_reach_the_json_serializer()
    {
        var system = (ExtendedActorSystem)System(_left);

        var serializer = system.Serialization.FindSerializerForType(typeof(TestProtocol.Cat));

        Assert.IsType<UnboundMessageSerializer>(serializer);
        Assert.Throws<UnknownMessageTypeException>(() => system.Serialization.Deserialize(
            "{}"u8.ToArray(), 1, "System.Text.StringBuilder, System.Private.CoreLib"));
        Assert.IsType<HyperionMessageSerializer>(
            system.Serialization.FindSerializerForType(typeof(ReplicaProtocol.Submit)));
    }

    public async ValueTask DisposeAsync()
    {
        await _left.StopAsync(CancellationToken.None);
        await _right.StopAsync(CancellationToken.None);
        _left.Dispose();
        _right.Dispose();
    }

    private static ActorSystem System(IHost host) => host.Services.GetRequiredService<ActorSystem>();

    private static IHost Start()
    {
        var host = Host.CreateApplicationBuilder();
        host.Logging.ClearProviders();
        host.Services.AddAkka("remote", builder => builder
            .AddHocon("akka.loglevel = OFF, akka.stdout-loglevel = OFF", HoconAddMode.Prepend)
            .WithRemoting("127.0.0.1", 0)
            .AddSpotServeSerialization());
        return host.Build();
    }

    private async Task<IActorRef> FarEchoAsync()
    {
        System(_right).ActorOf(Props.Create(() => new Echo()), "echo");
        var address = ((ExtendedActorSystem)System(_right)).Provider.DefaultAddress;
        return await System(_left).ActorSelection($"{address}/user/echo")
            .ResolveOne(Limit, TestContext.Current.CancellationToken);
    }

    private sealed class Echo : ReceiveActor
    {
        public Echo()
        {
            ReceiveAny(message => Sender.Tell(message));
        }
    }
}
