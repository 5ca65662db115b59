using SpotServe.Actors.Execution;
using SpotServe.Actors.Replica;
using SpotServe.Tests.Scheduling;
using Xunit;

namespace SpotServe.Tests.Replica;

/// <summary>What a replica does with steps that failed: it goes on, and tells those who are at fault.</summary>
public sealed class FailedStepTests : ReplicaTestKit
{
    private static readonly StepFailure Unnamed = new("something broke", []);

    [Fact]
    public async Task A_named_request_ends_with_the_reason_and_the_others_go_on()
    {
        Start();
        var (bad, good) = (SchedulerFixture.Request("bad", 5, 10), SchedulerFixture.Request("good", 6, 3));
        var other = CreateTestProbe();
        Submit(bad, Entity);
        await Pipeline.StepAsync(Cancel);
        await TokensAsync(Entity);
        Submit(good, other);
        await LoadAsync();
        await Pipeline.StepAsync(Cancel);   // "bad" was alone in it
        await TokensAsync(Entity);

        await Pipeline.FailStepAsync(new StepFailure("named", [new ChunkFault(0, "it is no number")]), Cancel);

        var rejected = await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        Assert.True(rejected.Permanent);
        Assert.Contains("it is no number", rejected.Reason);
        _ = Pipeline.RunAsync(Cancel);
        var (tokens, _) = await ReadToEndAsync(other);
        Assert.Equal(SchedulerFixture.Alone(good, Limits), tokens);
        Assert.Equal(Limits.PageCount, (await LoadAsync()).FreePages);
        await Parent.ExpectNoMsgAsync(TimeSpan.Zero, Cancel);
    }

    [Fact]
    public async Task A_request_that_failed_is_answered_alike_when_it_is_submitted_again()
    {
        Start();
        var bad = SchedulerFixture.Request("bad", 5, 10);
        Submit(bad, Entity);
        await Pipeline.FailStepAsync(Unnamed, Cancel);
        var first = await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);

        Submit(bad, Entity);

        Assert.Equal(first, await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel));
    }

    [Fact]
    public async Task A_request_with_a_token_that_the_model_does_not_have_is_refused_for_good()
    {
        Limits = Limits with { VocabularySize = 97 };
        Start();
        var request = SchedulerFixture.Request("r", 5, 10);

        Submit(request with { Spec = request.Spec with { Prompt = [1, 97] } }, Entity);
        Submit(request, Entity, committed: [3, -1]);

        var prompt = await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        Assert.True(prompt.Permanent);
        Assert.Contains("Token id 97 is outside the model's vocabulary of 97 tokens", prompt.Reason);
        var committed = await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        Assert.True(committed.Permanent);
        Assert.Contains("Token id -1", committed.Reason);
    }

    [Fact]
    public async Task An_engine_that_fails_every_request_alone_is_lost_and_not_they()
    {
        Start(new ReplicaSettings { UnexplainedEndsMax = 2 });
        for (var i = 1; i <= 2; i++)
        {
            Submit(SchedulerFixture.Request($"r{i}", 5, 10), Entity);
            await Pipeline.FailStepAsync(Unnamed, Cancel);
            await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        }

        var lost = await Parent.ExpectMsgAsync<ReplicaControlProtocol.ReplicaLost>(cancellationToken: Cancel);
        Assert.Contains("2 requests in a row failed alone", lost.Reason);
    }

    [Fact]
    public async Task A_request_that_is_to_run_alone_waits_for_its_permit_and_runs_in_steps_of_its_own()
    {
        Start();
        var (suspect, other) = (SchedulerFixture.Request("suspect", 5, 4), SchedulerFixture.Request("other", 6, 9));
        var reader = CreateTestProbe();
        Submit(other, reader);
        await Pipeline.StepAsync(Cancel);
        Replica.Tell(Submit(suspect with { RunsAlone = true }), Entity.Ref);
        await LoadAsync();
        await Pipeline.StepAsync(Cancel);
        await Entity.ExpectMsgAsync<ReplicaProtocol.AloneDue>(cancellationToken: Cancel);
        for (var i = 0; i < 3; i++) await Pipeline.StepAsync(Cancel);
        await Entity.ExpectNoMsgAsync(TimeSpan.Zero, Cancel);

        Replica.Tell(new ReplicaProtocol.RunAlone(Epoch, suspect.Id), Entity.Ref);

        await LoadAsync();
        Assert.All(Pipeline.Chunks, chunks => Assert.Equal(1, chunks));
        _ = Pipeline.RunAsync(Cancel);
        Assert.Equal(SchedulerFixture.Alone(suspect, Limits), (await ReadToEndAsync(Entity)).Tokens);
        Assert.Equal(SchedulerFixture.Alone(other, Limits), (await ReadToEndAsync(reader)).Tokens);
        // Two of its four tokens alone, then with the other.
        Assert.Contains(2, Pipeline.Chunks);
    }

    /// <summary>Its entity may be gone, and the permit never come.</summary>
    [Fact]
    public async Task A_long_request_that_waits_for_its_permit_keeps_nobody_else_out()
    {
        var suspect = SchedulerFixture.Request("suspect", Limits.StepTokensMax * Limits.StepsInFlightMax, 4);
        var (other, reader) = (SchedulerFixture.Request("other", 6, 3), CreateTestProbe());
        Start();
        _ = Pipeline.RunAsync(Cancel);

        Replica.Tell(Submit(suspect with { RunsAlone = true }), Entity.Ref);
        Submit(other, reader);

        Assert.Equal(SchedulerFixture.Alone(other, Limits), (await ReadToEndAsync(reader)).Tokens);
    }

    /// <summary>No step is under way then whose end would let the others go on.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_waits_goes_on_when_the_request_that_held_it_up_is_cancelled_or_loses_its_entity(bool isTold)
    {
        Limits = Limits with { SequencesMax = 1 };
        Start();
        _ = Pipeline.RunAsync(Cancel);
        var suspect = SchedulerFixture.Request("suspect", 6, 3) with { RunsAlone = true };
        var (other, reader) = (SchedulerFixture.Request("other", 6, 3), CreateTestProbe());
        Replica.Tell(Submit(suspect), Entity.Ref);
        Submit(other, reader);
        var load = await LoadAsync();
        Assert.Equal((1, 1), (load.Running, load.Queued));

        if (isTold)
        {
            Replica.Tell(new ReplicaProtocol.Cancel(Epoch, suspect.Id), Entity.Ref);
        }
        else
        {
            Sys.Stop(Entity.Ref);
            await AwaitConditionAsync(
                async () =>
                {
                    Advance((int)ReplicaSettings.Default.OrphanGrace.TotalSeconds + 1);
                    return (await LoadAsync()).Queued == 0;
                },
                cancellationToken: Cancel);
        }

        Assert.Equal(SchedulerFixture.Alone(other, Limits), (await ReadToEndAsync(reader)).Tokens);
    }

    [Fact]
    public async Task Only_requests_in_the_step_are_told_that_it_was_lost_with_them()
    {
        Limits = Limits with { SequencesMax = 1 };
        Start();
        var waiting = CreateTestProbe();
        Submit(SchedulerFixture.Request("runs", 5, 4), Entity);
        Submit(SchedulerFixture.Request("waits", 5, 4), waiting);
        await LoadAsync();

        Pipeline.Lose("a cable was pulled");

        Assert.True((await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel)).WasInLostStep);
        Assert.False((await waiting.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel)).WasInLostStep);
    }
}
