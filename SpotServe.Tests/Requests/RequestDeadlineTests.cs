using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Requests;

/// <summary>A request's time ends at an instant that its journal has, wherever it is by then.</summary>
public sealed class RequestDeadlineTests : PatientTestKit
{
    private static readonly RequestId Id = new("cmpl-1");
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(20);
    private readonly ManualClock _clock = new();
    private readonly TestProbe _gateway;
    private readonly TestProbe _replica;
    private readonly TestProbe _reader;

    public RequestDeadlineTests()
        : base("akka.persistence.journal.plugin = akka.persistence.journal.inmem")
    {
        _gateway = CreateTestProbe("gateway");
        _replica = CreateTestProbe("replica");
        _reader = CreateTestProbe("reader");
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Request_whose_time_is_over_ends_everywhere_and_keeps_the_tokens_that_it_has()
    {
        var entity = Accepted(Step);
        entity.Tell(new Subscribe(Id, 0), _reader);
        entity.Tell(new Routed(Id, new Epoch(1), _replica), _gateway);
        _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel);
        entity.Tell(new ReplicaProtocol.TokensGenerated(new Epoch(1), Id, 0, [10, 11], null), _replica);
        Assert.Equal([10, 11], _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel).Tokens);

        _clock.Advance(Step);

        var end = _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);
        Assert.Equal(FinishReason.TimedOut, end.Finished);
        Assert.Contains("2 of up to 8 tokens were generated", end.Error, StringComparison.Ordinal);
        Assert.Equal(Id, _replica.ExpectMsg<ReplicaProtocol.Cancel>(cancellationToken: Cancel).Id);
        _gateway.FishForMessage(message => message is RouteEnded, cancellationToken: Cancel);
        var again = Restarted(entity);
        again.Tell(new Subscribe(Id, 0), _reader);
        var kept = _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);
        Assert.Equal([10, 11], kept.Tokens);
        Assert.Equal((FinishReason.TimedOut, end.Error), (kept.Finished, kept.Error));
    }

    [Fact]
    public void Time_that_passes_while_no_control_node_has_the_request_counts()
    {
        var first = Accepted(TimeSpan.FromHours(1));
        _gateway.ExpectMsg<Route>(cancellationToken: Cancel);
        Watch(first);
        Sys.Stop(first);
        ExpectTerminated(first, cancellationToken: Cancel);
        _clock.Advance(TimeSpan.FromHours(1));

        var second = Entity();
        second.Tell(new Subscribe(Id, 0), _reader);

        Assert.Equal(
            FinishReason.TimedOut, _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel).Finished);
        _gateway.ExpectMsg<RouteEnded>(cancellationToken: Cancel);
    }

    [Fact]
    public void Entity_that_takes_over_gives_no_new_time()
    {
        var first = Accepted(TimeSpan.FromHours(1));
        _clock.Advance(TimeSpan.FromHours(1) - Step);
        var second = Restarted(first);
        second.Tell(new Subscribe(Id, 0), _reader);
        second.Tell(new Describe(Id), _reader);
        Assert.Null(_reader.ExpectMsg<Described>(cancellationToken: Cancel).Finished);

        _clock.Advance(Step);

        Assert.Equal(
            FinishReason.TimedOut, _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel).Finished);
    }

    private IActorRef Entity() => Sys.ActorOf(RequestEntity.Props(Id, new RequestOptions(), _clock, _gateway));

    private IActorRef Accepted(TimeSpan time)
    {
        var entity = Entity();
        var parameters = new GenerationParameters(8, SamplingParameters.Greedy, []);
        var spec = new GenerationSpec([1, 2, 3], parameters) { Deadline = _clock.GetUtcNow() + time };
        entity.Tell(new Accept(Id, spec), TestActor);
        ExpectMsg<Accepted>(cancellationToken: Cancel);
        return entity;
    }

    private IActorRef Restarted(IActorRef entity)
    {
        Watch(entity);
        Sys.Stop(entity);
        ExpectTerminated(entity, cancellationToken: Cancel);
        return Entity();
    }
}
