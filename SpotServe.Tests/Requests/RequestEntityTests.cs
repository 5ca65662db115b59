using System.Collections.Immutable;
using Akka.Actor;
using Akka.Cluster.Sharding;
using Akka.TestKit;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using SpotServe.Tests.Fragments;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Requests;

public sealed class RequestEntityTests : PatientTestKit
{
    private static readonly RequestId Id = new("cmpl-1");
    private static readonly GenerationParameters Greedy = new(8, SamplingParameters.Greedy, []);
    private readonly ManualClock _clock = new();
    private readonly TestProbe _gateway;
    private readonly TestProbe _replica;
    private readonly TestProbe _reader;

    public RequestEntityTests()
        : base("akka.persistence.journal.plugin = akka.persistence.journal.inmem")
    {
        _gateway = CreateTestProbe("gateway");
        _replica = CreateTestProbe("replica");
        _reader = CreateTestProbe("reader");
    }

    [Fact]
    public void Request_is_submitted_to_the_replica_that_the_gateway_names()
    {
        var entity = AcceptedEntity();

        Route(entity, new Epoch(3));

        var submit = _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel);
        Assert.Equal(new Epoch(3), submit.Epoch);
        Assert.Equal([1, 2, 3], submit.Request.Spec.Prompt);
        Assert.Empty(submit.Request.Committed);
    }

    [Fact]
    public void Reader_sees_each_token_once_and_the_end()
    {
        var entity = RoutedEntity(new Epoch(1));
        entity.Tell(new Subscribe(Id, 0), _reader);

        Generate(entity, new Epoch(1), 0, [10, 11]);
        Generate(entity, new Epoch(1), 1, [11, 12]);
        Generate(entity, new Epoch(1), 3, [13], FinishReason.Stop);

        Assert.Equal([10, 11, 12, 13], ReadToEnd(out var reason));
        Assert.Equal(FinishReason.Stop, reason);
        _gateway.FishForMessage(message => message is RouteEnded, cancellationToken: Cancel);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Reader_from_the_start_is_told_of_the_prompt_also_where_it_ends_without_a_token(bool hasToken)
    {
        ImmutableArray<TokenLogprobs> scored = [new(-1, []) { Rank = 3 }, new(-2, []) { Rank = 4 }];
        var entity = RoutedEntity(new Epoch(1));
        entity.Tell(new Subscribe(Id, 0), _reader);

        entity.Tell(
            new ReplicaProtocol.TokensGenerated(new Epoch(1), Id, 0, hasToken ? [10] : [], FinishReason.Stop)
            {
                PromptLogprobs = scored,
            },
            _replica);
        AssertShown();
        Watch(entity);
        Sys.Stop(entity);
        ExpectTerminated(entity, cancellationToken: Cancel);
        Entity().Tell(new Subscribe(Id, 0), _reader);
        AssertShown();

        void AssertShown()
        {
            var shown = _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);
            Assert.Equal(scored, shown.PromptLogprobs);
            Assert.Equal(hasToken ? 1 : 0, shown.Tokens.Length);
        }
    }

    [Fact]
    public void Missing_tokens_make_the_entity_submit_again_from_what_is_committed()
    {
        var entity = RoutedEntity(new Epoch(1));
        entity.Tell(new Subscribe(Id, 0), _reader);
        Generate(entity, new Epoch(1), 0, [10]);
        _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);

        Generate(entity, new Epoch(1), 2, [12]);

        var again = _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel);
        Assert.Equal([10], again.Request.Committed);
    }

    [Fact]
    public void Tokens_of_an_older_epoch_change_nothing()
    {
        var entity = RoutedEntity(new Epoch(1));
        Route(entity, new Epoch(2));
        _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel);
        entity.Tell(new Subscribe(Id, 0), _reader);

        Generate(entity, new Epoch(1), 0, [99]);
        Generate(entity, new Epoch(2), 0, [10], FinishReason.Length);

        Assert.Equal([10], ReadToEnd(out _));
    }

    [Fact]
    public void Request_that_cannot_be_sent_to_a_replica_ends_with_an_error_that_says_so()
    {
        RefusingPost.InstallIn(Sys, message => message is ReplicaProtocol.Submit);
        var entity = AcceptedEntity();
        entity.Tell(new Subscribe(Id, 0), _reader);

        Route(entity, new Epoch(3));

        var shown = _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);
        Assert.Equal(FinishReason.Failed, shown.Finished);
        Assert.Contains("17,000,000 bytes", shown.Error, StringComparison.Ordinal);
        // It does not count as open any more, nor does it after a restart.
        _gateway.FishForMessage(message => message is RouteEnded, cancellationToken: Cancel);
        Watch(entity);
        Sys.Stop(entity);
        ExpectTerminated(entity, cancellationToken: Cancel);
        Entity().Tell(new Subscribe(Id, 0), _reader);
        Assert.Equal(FinishReason.Failed, _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel).Finished);
        _gateway.ExpectNoMsg(TimeSpan.FromMilliseconds(200), Cancel);
    }

    [Fact]
    public void Entity_that_is_located_and_never_gets_its_request_leaves()
    {
        var region = CreateTestProbe("region");
        var options = new RequestOptions { LocatedMax = TimeSpan.FromMilliseconds(50) };
        var entity = region.ChildActorOf(RequestEntity.Props(Id, options, _clock, _gateway), Cancel);

        entity.Tell(new Locate(Id), _reader);

        _reader.ExpectMsg<Located>(cancellationToken: Cancel);
        region.ExpectMsg<Passivate>(cancellationToken: Cancel);
    }

    [Fact]
    public void Restarted_entity_goes_on_from_its_journal()
    {
        var first = RoutedEntity(new Epoch(1));
        first.Tell(new Subscribe(Id, 0), _reader);
        Generate(first, new Epoch(1), 0, [10, 11]);
        _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);
        Watch(first);
        Sys.Stop(first);
        ExpectTerminated(first, cancellationToken: Cancel);

        // It waits no more, and is no newcomer at whichever gateway it comes to.
        _gateway.ExpectMsg<Begun>(cancellationToken: Cancel);
        var second = Entity();
        Assert.True(_gateway.ExpectMsg<Route>(cancellationToken: Cancel).HasBegun);
        Route(second, new Epoch(2));

        Assert.Equal([10, 11], _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel).Request.Committed);
    }

    [Fact]
    public void Cancelled_request_tells_its_replica_and_ends()
    {
        var entity = RoutedEntity(new Epoch(1));
        entity.Tell(new Subscribe(Id, 0), _reader);

        entity.Tell(new CancelRequest(Id));

        _replica.ExpectMsg<ReplicaProtocol.Cancel>(cancellationToken: Cancel);
        Assert.Equal(
            FinishReason.Cancelled, _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel).Finished);
    }

    [Fact]
    public void Stop_string_ends_a_request_that_nobody_reads_and_cuts_what_came_behind_it()
    {
        var entity = Entity(stopAt: 12);
        entity.Tell(new Accept(Id, new GenerationSpec([1, 2, 3], Greedy with { Stops = ["end"] })), TestActor);
        ExpectMsg<Accepted>(cancellationToken: Cancel);
        Route(entity, new Epoch(1));
        _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel);

        Generate(entity, new Epoch(1), 0, [10, 11]);
        Generate(entity, new Epoch(1), 2, [12, 13]);

        _replica.ExpectMsg<ReplicaProtocol.Cancel>(cancellationToken: Cancel);
        entity.Tell(new Subscribe(Id, 0), _reader);
        Assert.Equal([10, 11, 12], ReadToEnd(out var reason));
        Assert.Equal(FinishReason.Stop, reason);
    }

    [Fact]
    public void Restarted_entity_looks_for_stop_strings_from_the_first_token_on()
    {
        var first = Entity();
        first.Tell(new Accept(Id, new GenerationSpec([1, 2, 3], Greedy with { Stops = ["end"] })), TestActor);
        ExpectMsg<Accepted>(cancellationToken: Cancel);
        Route(first, new Epoch(1));
        first.Tell(new Subscribe(Id, 0), _reader);
        Generate(first, new Epoch(1), 0, [10, 11]);
        _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);
        Watch(first);
        Sys.Stop(first);
        ExpectTerminated(first, cancellationToken: Cancel);

        Entity(stopAt: 11).Tell(new Subscribe(Id, 0), _reader);

        Assert.Equal([10, 11], ReadToEnd(out var reason));
        Assert.Equal(FinishReason.Stop, reason);
    }

    [Fact]
    public void Request_tells_what_it_was_accepted_with()
    {
        var entity = Entity();
        entity.Tell(new Accept(
            Id, new GenerationSpec([1, 2, 3], Greedy with { StopTokens = [7], Stops = ["end"] })), TestActor);
        var accepted = ExpectMsg<Accepted>(cancellationToken: Cancel);

        entity.Tell(new Describe(Id), TestActor);

        var known = ExpectMsg<Described>(cancellationToken: Cancel);
        Assert.Equal((accepted.At, 3), (known.At, known.PromptTokens));
        Assert.Equal([7], known.Tail.Parameters.StopTokens);
        Assert.Equal(["end"], known.Tail.Parameters.Stops);
    }

    [Fact]
    public void Waking_starts_an_open_request_and_lets_go_of_one_that_is_not_there()
    {
        var shard = CreateTestProbe();
        shard.ChildActorOf(Props(), cancellationToken: Cancel).Tell(new Wake(Id));
        shard.ExpectMsg<Passivate>(cancellationToken: Cancel);
        var first = RoutedEntity(new Epoch(1));
        Watch(first);
        Sys.Stop(first);
        ExpectTerminated(first, cancellationToken: Cancel);

        Entity().Tell(new Wake(Id));

        _gateway.ExpectMsg<Route>(cancellationToken: Cancel);
    }

    [Fact]
    public void Ended_request_that_is_woken_again_is_kept_no_longer_than_its_retention()
    {
        var entity = RoutedEntity(new Epoch(1));
        entity.Tell(new Subscribe(Id, 0), _reader);
        Generate(entity, new Epoch(1), 0, [10], FinishReason.Length);
        ReadToEnd(out _);
        Watch(entity);
        Sys.Stop(entity);
        ExpectTerminated(entity, cancellationToken: Cancel);
        var shard = CreateTestProbe();

        _clock.Advance(new RequestOptions().Retention);
        shard.ChildActorOf(Props(), cancellationToken: Cancel);

        shard.ExpectMsg<Passivate>(cancellationToken: Cancel);
        Entity().Tell(new Describe(Id), _reader);
        _reader.ExpectMsg<Unknown>(cancellationToken: Cancel);
    }

    [Fact]
    public void Reader_of_an_unknown_request_is_told_so()
    {
        Entity().Tell(new Subscribe(Id, 0), _reader);

        _reader.ExpectMsg<Unknown>(cancellationToken: Cancel);
    }

    [Fact]
    public void Reader_beyond_the_limit_is_told_so_and_the_request_goes_on_for_the_others()
    {
        var entity = RoutedEntity(new Epoch(1));
        entity.Tell(new Subscribe(Id, 0), _reader);
        for (var i = 1; i < new RequestOptions().SubscribersMax; i++)
            entity.Tell(new Subscribe(Id, 0), CreateTestProbe());
        var last = CreateTestProbe();

        entity.Tell(new Subscribe(Id, 0), last);
        entity.Tell(new Describe(Id), last);
        Generate(entity, new Epoch(1), 0, [10], FinishReason.Length);

        last.ExpectMsg<TooManyReaders>(cancellationToken: Cancel);
        Assert.True(last.ExpectMsg<Described>(cancellationToken: Cancel).IsFull);
        Assert.Equal([10], ReadToEnd(out _));
        entity.Tell(new Describe(Id), last);
        var described = last.ExpectMsg<Described>(cancellationToken: Cancel);
        Assert.Equal((1, FinishReason.Length), (described.TokenCount, described.Finished));
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private IActorRef Entity(int? stopAt = null) => Sys.ActorOf(Props(stopAt));

    private Props Props(int? stopAt = null)
    {
        StopSearchFactory? search = stopAt is { } token ? _ => new StopAt(token) : null;
        return RequestEntity.Props(Id, new RequestOptions { StopSearch = search }, _clock, _gateway);
    }

    private IActorRef AcceptedEntity()
    {
        var entity = Entity();
        entity.Tell(new Accept(Id, new GenerationSpec([1, 2, 3], Greedy)), TestActor);
        ExpectMsg<Accepted>(cancellationToken: Cancel);
        _gateway.ExpectMsg<Route>(cancellationToken: Cancel);
        return entity;
    }

    private IActorRef RoutedEntity(Epoch epoch)
    {
        var entity = AcceptedEntity();
        Route(entity, epoch);
        _replica.ExpectMsg<ReplicaProtocol.Submit>(cancellationToken: Cancel);
        return entity;
    }

    private void Route(IActorRef entity, Epoch epoch) => entity.Tell(new Routed(Id, epoch, _replica), _gateway);

    private void Generate(
        IActorRef entity, Epoch epoch, int firstIndex, ImmutableArray<int> tokens, FinishReason? finished = null) =>
        entity.Tell(new ReplicaProtocol.TokensGenerated(epoch, Id, firstIndex, tokens, finished), _replica);

    private List<int> ReadToEnd(out FinishReason? reason)
    {
        var tokens = new List<int>();
        while (true)
        {
            var batch = _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);
            Assert.Equal(tokens.Count, batch.FirstIndex);
            tokens.AddRange(batch.Tokens);
            reason = batch.Finished;
            if (reason is not null) return tokens;
        }
    }

    /// <summary>A stop string that is complete with one token.</summary>
    private sealed class StopAt(int stop) : IStopSearch
    {
        public bool Push(int token) => token == stop;
    }
}
