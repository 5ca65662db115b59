using Akka.Actor;
using Akka.Hosting;
using Akka.Remote.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.Fragments;

/// <summary>Two actor systems that talk over sockets, with the real settings of messages.</summary>
public abstract class TwoSystems : IAsyncLifetime
{
    private readonly IHost _left = Start();
    private readonly IHost _right = Start();

    protected static TimeSpan Limit { get; } = Waits.Max;

    protected static CancellationToken Cancel => TestContext.Current.CancellationToken;

    protected ActorSystem Left => System(_left);

    protected ActorSystem Right => System(_right);

    public async ValueTask InitializeAsync()
    {
        await _left.StartAsync(Cancel);
        await _right.StartAsync(Cancel);
    }

    public async ValueTask DisposeAsync()
    {
        await _left.StopAsync(CancellationToken.None);
        await _right.StopAsync(CancellationToken.None);
        _left.Dispose();
        _right.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>An actor of the right system that sends back what it gets.</summary>
    protected async Task<IActorRef> FarEchoAsync()
    {
        Right.ActorOf(Props.Create(() => new Echo()), "echo");
        var address = ((ExtendedActorSystem)Right).Provider.DefaultAddress;
        return await Left.ActorSelection($"{address}/user/echo").ResolveOne(Limit, Cancel);
    }

    /// <summary>An actor of the left system that sends there and back what it is asked to, one or an array.</summary>
    protected IActorRef Asker(IActorRef echo) => Left.ActorOf(Props.Create(() => new Forth(echo)));

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

    protected sealed class Echo : ReceiveActor
    {
        private readonly LargeMessages _large = LargeMessages.Of(Context.System);

        public Echo()
        {
            ReceiveAny(message => _large.Tell(Sender, message, Self));
        }
    }

    /// <summary>Gives the asker the answers, or the first refusal.</summary>
    private sealed class Forth : ReceiveActor
    {
        private readonly LargeMessages _large = LargeMessages.Of(Context.System);
        private readonly IActorRef _echo;
        private readonly List<object> _answers = [];
        private IActorRef _asker = ActorRefs.Nobody;
        private int _awaited;

        public Forth(IActorRef echo)
        {
            _echo = echo;
            Receive<object[]>(many => Send(many));
            ReceiveAny(message =>
            {
                if (Sender.Equals(_echo)) OnAnswer(message);
                else Send([message]);
            });
        }

        private void Send(object[] messages)
        {
            (_asker, _awaited) = (Sender, messages.Length);
            foreach (var message in messages)
            {
                if (message is ReplicaProtocol.Cancel) _large.TellInOrder(_echo, message, Self);
                else if (_large.Tell(_echo, message, Self) is { } refusal) _asker.Tell(refusal);
            }
        }

        private void OnAnswer(object answer)
        {
            _answers.Add(answer);
            if (_answers.Count < _awaited) return;
            _asker.Tell(_awaited == 1 ? answer : _answers.ToArray());
            _answers.Clear();
        }
    }
}
