using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Requests;

/// <summary>A request whose replicas are lost one after another, and one that is cancelled.</summary>
public sealed class LostReplicaTests : PatientTestKit
{
    private static readonly RequestId Id = new("cmpl-1");
    private readonly TestProbe _gateway;
    private readonly TestProbe _replica;
    private readonly TestProbe _reader;
    private IActorRef _entity;
    private long _epoch;

    public LostReplicaTests()
        : base("akka.persistence.journal.plugin = akka.persistence.journal.inmem")
    {
        _gateway = CreateTestProbe("gateway");
        _replica = CreateTestProbe("replica");
        _reader = CreateTestProbe("reader");
        _entity = Entity();
        _entity.Tell(
            new Accept(
                Id, new GenerationSpec([1, 2, 3], new GenerationParameters(99, SamplingParameters.Greedy, []))),
            TestActor);
        ExpectMsg<Accepted>(cancellationToken: Cancel);
        _entity.Tell(new Subscribe(Id, 0), _reader);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Request_that_is_in_the_step_of_every_lost_replica_runs_alone_and_is_ended(bool replicaTells)
    {
        for (var i = 0; i < 3; i++)
        {
            Assert.False(NextSubmission().Request.RunsAlone);
            if (replicaTells) Lose(wasInStep: true);
        }

        for (var i = 0; i < new RequestOptions().LossesAloneMax; i++)
        {
            Assert.True(NextSubmission().Request.RunsAlone);
            GoAlone();
            if (replicaTells) Lose(wasInStep: true);
        }

        if (!replicaTells) Route();
        var end = _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);
        Assert.Equal(FinishReason.Failed, end.Finished);
        Assert.Contains("taken for the cause", end.Error);
    }

    [Fact]
    public void Count_of_losses_outlives_the_entity()
    {
        for (var i = 0; i < 3; i++)
        {
            NextSubmission();
            Lose(wasInStep: true);
        }

        // Submitted only once the third loss is in the journal.
        for (var i = 0; i < new RequestOptions().LossesAloneMax; i++)
        {
            Assert.True(NextSubmission().Request.RunsAlone);
            Restart();
            Assert.True(NextSubmission().Request.RunsAlone);
            GoAlone();
            Lose(wasInStep: true);
        }

        Assert.Equal(
            FinishReason.Failed, _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel).Finished);
    }

    [Fact]
    public void Request_that_waited_or_got_on_is_not_suspected()
    {
        for (var i = 0; i < 6; i++)
        {
            Assert.False(NextSubmission().Request.RunsAlone);
            Lose(wasInStep: false);
        }

        for (var i = 0; i < 6; i++)
        {
            Assert.False(NextSubmission().Request.RunsAlone);
            Generate(i * 16, 16);
            _reader.ExpectMsg<TokensAvailable>(cancellationToken: Cancel);
            Lose(wasInStep: true);
        }
    }

    [Fact]
    public void Sequence_that_was_handed_over_has_lost_no_replica()
    {
        NextSubmission();
        for (var i = 0; i < 6; i++)
        {
            _entity.Tell(
                new ReplicaProtocol.TokensGenerated(new Epoch(++_epoch), Id, 0, [], null), _replica);
            _entity.Tell(new Routed(Id, new Epoch(_epoch), _replica), _gateway);
        }

        Assert.False(NextSubmission().Request.RunsAlone);
    }

    [Fact]
    public void Loss_after_a_hand_over_is_none_of_a_request_that_runs_alone()
    {
        for (var i = 0; i < 3; i++)
        {
            NextSubmission();
            Lose(wasInStep: true);
        }

        for (var i = 0; i < 6; i++)
        {
            Assert.True(NextSubmission().Request.RunsAlone);
            GoAlone();
            _entity.Tell(new ReplicaProtocol.TokensGenerated(new Epoch(++_epoch), Id, 0, [], null), _replica);
            Lose(wasInStep: true);
        }

        Assert.True(NextSubmission().Request.RunsAlone);
    }

    [Fact]
    public void Cancelling_answers_once_the_end_is_written_and_again_with_how_it_ended()
    {
        NextSubmission();

        _entity.Tell(new CancelRequest(Id), TestActor);
        Assert.Equal(FinishReason.Cancelled, ExpectMsg<HasEnded>(cancellationToken: Cancel).Reason);
        _entity.Tell(new CancelRequest(Id), TestActor);

        Assert.Equal(FinishReason.Cancelled, ExpectMsg<HasEnded>(cancellationToken: Cancel).Reason);
        _replica.ExpectMsg<ReplicaProtocol.Cancel>(cancellationToken: Cancel);
    }

    [Fact]
    public void Cancelling_what_was_never_accepted_says_so()
    {
        var other = new RequestId("cmpl-2");
        Sys.ActorOf(RequestEntity.Props(other, new RequestOptions(), new ManualClock(), _gateway))
            .Tell(new CancelRequest(other), TestActor);

        ExpectMsg<Unknown>(cancellationToken: Cancel);
    }

    private IActorRef Entity() =>
        Sys.ActorOf(RequestEntity.Props(Id, new RequestOptions(), new ManualClock(), _gateway));

    private void Restart()
    {
        Watch(_entity);
        Sys.Stop(_entity);
        ExpectTerminated(_entity, cancellationToken: Cancel);
        _entity = Entity();
        _entity.Tell(new Subscribe(Id, 0), _reader);
    }

    /// <summary>A newer epoch serves.</summary>
    private void Route() => _entity.Tell(new Routed(Id, new Epoch(++_epoch), _replica), _gateway);

    private ReplicaProtocol.Submit NextSubmission()
    {
        Route();
        return _replica.FishForMessage<ReplicaProtocol.Submit>(
            submit => submit.Epoch.Value == _epoch, cancellationToken: Cancel);
    }

    private void GoAlone()
    {
        _entity.Tell(new ReplicaProtocol.AloneDue(new Epoch(_epoch), Id), _replica);
        _replica.ExpectMsg<ReplicaProtocol.RunAlone>(cancellationToken: Cancel);
    }

    private void Lose(bool wasInStep) => _entity.Tell(
        new ReplicaProtocol.Rejected(new Epoch(_epoch), Id, "its pipeline broke") { WasInLostStep = wasInStep },
        _replica);

    private void Generate(int firstIndex, int count) => _entity.Tell(
        new ReplicaProtocol.TokensGenerated(
            new Epoch(_epoch), Id, firstIndex, [.. Enumerable.Range(firstIndex, count)], null),
        _replica);
}
