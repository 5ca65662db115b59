using Akka.Actor;
using Akka.Hosting;
using Akka.Remote.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using SpotServe.Actors.Serialization;
using SpotServe.Tests.Serialization;
using Xunit;

namespace SpotServe.Tests.Fragments;

/// <summary>Long messages between two actor systems with the real settings of messages.</summary>
public sealed class RemoteLargeMessagesTests : IAsyncLifetime
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);
    private static readonly GenerationParameters Parameters = new(7, SamplingParameters.Greedy, [2]);

    private readonly IHost _left = Start();
    private readonly IHost _right = Start();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await _left.StartAsync(Cancel);
        await _right.StartAsync(Cancel);
    }

    [Fact]
    public async Task Prompt_of_120_000_tokens_of_three_bytes_arrives_and_the_answer_finds_its_way_back()
    {
        var asker = Asker(await FarEchoAsync());
        var sent = Submit(120_000);

        var answer = await asker.Ask<ReplicaProtocol.Submit>(sent, Limit, Cancel);

        SameContent.Holds(sent, answer, "answer");
        Assert.NotSame(sent, answer);
    }

    [Fact]
    public async Task Messages_of_all_lengths_between_two_actors_keep_their_order()
    {
        var asker = Asker(await FarEchoAsync());
        var random = new Random(1);
        object[] sent = [.. Enumerable.Range(0, 60).Select(number => number % 3 == 0
            ? new ReplicaProtocol.Cancel(new Epoch(number), new RequestId("r"))
            : (object)(Submit(random.Next(60_000)) with { Epoch = new Epoch(number) }))];

        var answers = await asker.Ask<object[]>(sent, Limit, Cancel);

        Assert.Equal(
            Enumerable.Range(0, 60).Select(number => (long)number),
            answers.Select(answer => ((ReplicaProtocol.IMessage)answer).Epoch.Value));
    }

    [Fact]
    public async Task A_message_that_is_too_long_or_holds_an_unknown_type_is_refused_to_its_sender_at_once()
    {
        var asker = Asker(await FarEchoAsync());

        var tooLong = await asker.Ask<SendRefusal>(Submit(6_000_000), Limit, Cancel);
        var unknown = await asker.Ask<SendRefusal>(new TestProtocol.Cat("no"), Limit, Cancel);

        Assert.True(tooLong.IsPermanent);
        Assert.Contains("Submit takes 21,", tooLong.Reason, StringComparison.Ordinal);
        Assert.Contains("16,777,216", tooLong.Reason, StringComparison.Ordinal);
        Assert.True(unknown.IsPermanent);
        Assert.Contains(nameof(TestProtocol.Cat), unknown.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_relay_delivers_to_no_other_process_and_in_no_other_process_s_name()
    {
        var echo = await FarEchoAsync();
        var relay = await System(_left).ActorSelection($"{echo.Path.Root}user/{FragmentRelay.Name}")
            .ResolveOne(Limit, Cancel);
        var here = System(_left).ActorOf(Props.Create(() => new Echo()));
        var fragment = new FragmentProtocol.Fragment(1, 0, 1, 5, echo, here, [.. new byte[5]]);

        var elsewhere = await relay.Ask<FragmentProtocol.TransferRefused>(
            fragment with { Target = here }, Limit, Cancel);
        var forged = await relay.Ask<FragmentProtocol.TransferRefused>(fragment with { Sender = echo }, Limit, Cancel);
        var damaged = await relay.Ask<FragmentProtocol.TransferRefused>(fragment, Limit, Cancel);

        Assert.Contains("target", elsewhere.Reason, StringComparison.Ordinal);
        Assert.Contains("sender", forged.Reason, StringComparison.Ordinal);
        Assert.Contains("another build", damaged.Reason, StringComparison.Ordinal);
    }

    public async ValueTask DisposeAsync()
    {
        await _left.StopAsync(CancellationToken.None);
        await _right.StopAsync(CancellationToken.None);
        _left.Dispose();
        _right.Dispose();
    }

    private static ReplicaProtocol.Submit Submit(int tokens) => new(
        new Epoch(7), new RequestId("r"), [.. Enumerable.Range(20_000, tokens)], [5, 6], Parameters);

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
        return await System(_left).ActorSelection($"{address}/user/echo").ResolveOne(Limit, Cancel);
    }

    private IActorRef Asker(IActorRef echo) => System(_left).ActorOf(Props.Create(() => new Forth(echo)));

    private sealed class Echo : ReceiveActor
    {
        private readonly LargeMessages _large = LargeMessages.Of(Context.System);

        public Echo()
        {
            ReceiveAny(message => _large.Tell(Sender, message, Self));
        }
    }

    /// <summary>Sends what it is told to, and gives the asker the answers, or the first refusal.</summary>
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
            Receive<object[]>(many =>
            {
                (_asker, _awaited) = (Sender, many.Length);
                foreach (var message in many) Send(message);
            });
            Receive<ReplicaProtocol.IMessage>(message => Sender.Equals(_echo), OnAnswer);
            ReceiveAny(message =>
            {
                (_asker, _awaited) = (Sender, 1);
                Send(message);
            });
        }

        private void Send(object message)
        {
            if (message is ReplicaProtocol.Cancel) _large.TellInOrder(_echo, message, Self);
            else if (_large.Tell(_echo, message, Self) is { } refusal) _asker.Tell(refusal);
        }

        private void OnAnswer(ReplicaProtocol.IMessage answer)
        {
            _answers.Add(answer);
            if (_answers.Count < _awaited) return;
            _asker.Tell(_awaited == 1 ? answer : _answers.ToArray());
        }
    }
}
