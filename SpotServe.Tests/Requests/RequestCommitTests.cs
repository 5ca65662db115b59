using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Requests;

/// <summary>What a client hears is in the database: nothing is said while the journal still writes it.</summary>
public sealed class RequestCommitTests : PatientTestKit
{
    private static readonly RequestId Id = new("cmpl-1");
    private static readonly GenerationParameters Greedy = new(8, SamplingParameters.Greedy, []);
    private readonly HeldJournal.Gate _journal;
    private readonly TestProbe _gateway;
    private readonly TestProbe _replica;
    private readonly TestProbe _reader;
    private readonly IActorRef _entity;

    public RequestCommitTests()
        : base(HeldJournal.Settings)
    {
        _journal = HeldJournal.GateOf(Sys);
        _gateway = CreateTestProbe("gateway");
        _replica = CreateTestProbe("replica");
        _reader = CreateTestProbe("reader");
        _entity = Sys.ActorOf(RequestEntity.Props(Id, new RequestOptions(), new ManualClock(), _gateway));
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Request_is_accepted_once_it_is_written()
    {
        _journal.Close();
        _entity.Tell(new Accept(Id, new GenerationSpec([1, 2, 3], Greedy)), _reader);
        await _journal.WaitsAsync().WaitAsync(Cancel);
        Assert.False(_reader.HasMessages);

        _journal.Open();

        await _reader.ExpectMsgAsync<Accepted>(cancellationToken: Cancel);
    }

    [Fact]
    public async Task Token_is_shown_once_it_is_written()
    {
        await BeginAsync();
        _journal.Close();

        Generate(new Epoch(1), 0, 10, 11);
        await _journal.WaitsAsync().WaitAsync(Cancel);
        // Once it answers, all that it had to say before has been said.
        _entity.Tell(new Describe(Id), TestActor);
        await ExpectMsgAsync<Described>(cancellationToken: Cancel);
        Assert.False(_reader.HasMessages);
        _journal.Open();

        var shown = await _reader.ExpectMsgAsync<TokensAvailable>(cancellationToken: Cancel);
        Assert.Equal((0, 2), (shown.FirstIndex, shown.Tokens.Length));
    }

    [Fact]
    public async Task Reader_that_comes_meanwhile_is_shown_what_is_written_and_no_more()
    {
        await BeginAsync();
        Generate(new Epoch(1), 0, 10);
        await _reader.ExpectMsgAsync<TokensAvailable>(cancellationToken: Cancel);
        _journal.Close();
        Generate(new Epoch(1), 1, 11);
        await _journal.WaitsAsync().WaitAsync(Cancel);
        var late = CreateTestProbe();

        _entity.Tell(new Subscribe(Id, 0), late);

        Assert.Equal([10], (await late.ExpectMsgAsync<TokensAvailable>(cancellationToken: Cancel)).Tokens);
        _journal.Open();
        Assert.Equal([11], (await late.ExpectMsgAsync<TokensAvailable>(cancellationToken: Cancel)).Tokens);
    }

    [Fact]
    public async Task Tokens_that_are_not_written_are_asked_for_again_by_the_next_submission()
    {
        await BeginAsync();
        _journal.Close();
        Generate(new Epoch(1), 0, 10);
        await _journal.WaitsAsync().WaitAsync(Cancel);

        _entity.Tell(new Routed(Id, new Epoch(2), _replica), _gateway);

        var again = await _replica.ExpectMsgAsync<ReplicaProtocol.Submit>(cancellationToken: Cancel);
        Assert.Empty(again.Request.Committed);
        _journal.Open();
    }

    [Fact]
    public async Task Route_of_an_older_epoch_changes_nothing()
    {
        await BeginAsync();
        var next = CreateTestProbe();
        _entity.Tell(new Routed(Id, new Epoch(3), next), _gateway);
        await next.ExpectMsgAsync<ReplicaProtocol.Submit>(cancellationToken: Cancel);

        _entity.Tell(new Routed(Id, new Epoch(2), _replica), _gateway);
        _entity.Tell(new ReplicaProtocol.TokensGenerated(new Epoch(3), Id, 0, [10], Finished: null), next);

        await _reader.ExpectMsgAsync<TokensAvailable>(cancellationToken: Cancel);
        Assert.False(_replica.HasMessages);
    }

    /// <summary>Accepted, sent to a replica, and read.</summary>
    private async Task BeginAsync()
    {
        _entity.Tell(new Accept(Id, new GenerationSpec([1, 2, 3], Greedy)), TestActor);
        await ExpectMsgAsync<Accepted>(cancellationToken: Cancel);
        _entity.Tell(new Routed(Id, new Epoch(1), _replica), _gateway);
        await _replica.ExpectMsgAsync<ReplicaProtocol.Submit>(cancellationToken: Cancel);
        _entity.Tell(new Subscribe(Id, 0), _reader);
        _entity.Tell(new Describe(Id), TestActor);
        await ExpectMsgAsync<Described>(cancellationToken: Cancel);
    }

    private void Generate(Epoch epoch, int firstIndex, params int[] tokens) => _entity.Tell(
        new ReplicaProtocol.TokensGenerated(epoch, Id, firstIndex, [.. tokens], Finished: null), _replica);
}
