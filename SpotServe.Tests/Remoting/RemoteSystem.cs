using System.Collections.Concurrent;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Configuration;
using Akka.Event;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Remoting;
using Xunit;

namespace SpotServe.Tests.Remoting;

/// <summary>An actor system on loopback with SpotServe's transport and an actor "echo" that answers texts.</summary>
internal sealed class RemoteSystem : IAsyncDisposable
{
    public static readonly TimeSpan Limit = Waits.Max;

    private readonly ConcurrentQueue<LogEvent> _log = new();

    /// <param name="listener">Opened by the test before; null: the transport opens its own.</param>
    public RemoteSystem(ClusterIdentity? identity, int port = 0, Socket? listener = null)
    {
        var config = ConfigurationFactory.ParseString(
            $"""
            akka.remote.dot-netty.tcp.transport-class = "SpotServe.Actors.Remoting.SecureTransport, SpotServe.Actors"
            akka.remote.dot-netty.tcp.hostname = "127.0.0.1"
            akka.remote.dot-netty.tcp.port = {port}
            akka.remote.retry-gate-closed-for = 0.2s
            akka.stdout-loglevel = OFF
            akka.loggers = []
            """);
        System = ActorSystem.Create(
            "spotserve",
            BootstrapSetup.Create().WithConfig(config).WithActorRefProvider(ProviderSelection.Remote.Instance)
                .And(new RemotingSetup(identity) { Listener = listener }));
        System.ActorOf(Props.Create(() => new Echo()), "echo");
        System.ActorOf(Props.Create(() => new Listening(_log)), "log");
        Address = ((ExtendedActorSystem)System).Provider.DefaultAddress;
    }

    public ActorSystem System { get; }

    public Address Address { get; }

    public int Port => Address.Port!.Value;

    /// <summary>Warnings and errors so far.</summary>
    public IReadOnlyCollection<LogEvent> Log => [.. _log];

    public static RemoteSystem WithSecret(string secret) => new(ClusterIdentity.OfSecret(new ClusterSecret(secret)));

    public ActorSelection EchoOf(RemoteSystem other) =>
        System.ActorSelection(new RootActorPath(other.Address) / "user" / "echo");

    public Task<string> AskAsync(RemoteSystem other, string text, TimeSpan? limit = null) =>
        EchoOf(other).Ask<string>(text, limit ?? Limit, TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync() => await System.Terminate();

    private sealed class Echo : ReceiveActor
    {
        public Echo() => Receive<string>(text => Sender.Tell(text));
    }

    private sealed class Listening : ReceiveActor
    {
        public Listening(ConcurrentQueue<LogEvent> log)
        {
            Receive<LogEvent>(log.Enqueue);
            Context.System.EventStream.Subscribe(Self, typeof(Warning));
            Context.System.EventStream.Subscribe(Self, typeof(Error));
        }
    }
}
