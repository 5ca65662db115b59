using SpotServe.Actors.Execution;
using SpotServe.Actors.Replica;
using SpotServe.Tests.Fragments;
using Xunit;
using static SpotServe.Tests.Scheduling.SchedulerFixture;

namespace SpotServe.Tests.Replica;

/// <summary>How a replica drains, is lost, stops, and treats requests whose sender died.</summary>
public sealed class ReplicaActorLifeTests : ReplicaTestKit
{
    [Fact]
    public async Task Drain_answers_when_the_steps_in_flight_are_complete()
    {
        Limits = Limits(sequences: 2, steps: 2);
        Start();
        var planner = CreateTestProbe();
        foreach (var id in (string[])["a", "b", "waits"]) Submit(Request(id, 4, 9), Entity);
        await Pipeline.WaitForStepAsync(Cancel);

        Replica.Tell(new ReplicaControlProtocol.Drain(Epoch), planner.Ref);
        Submit(Request("late", 4, 9), Entity);
        await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        Assert.False(planner.HasMessages);
        for (var i = 0; i < 2; i++)
        {
            await Pipeline.StepAsync(Cancel);
            await TokensAsync(Entity);
        }

        await planner.ExpectMsgAsync<ReplicaControlProtocol.Drained>(cancellationToken: Cancel);
        Assert.Equal(2, (await LoadAsync()).Steps);
    }

    [Fact]
    public async Task Senders_of_requests_that_wait_hear_that_they_are_here_and_submit_no_prompt_again()
    {
        Limits = Limits(sequences: 1);
        Start();
        Submit(Request("runs", 4, 9), Entity);
        var waiting = CreateTestProbe();
        Submit(Request("waits", 4, 9), waiting);
        await LoadAsync();   // It has both, and its timers run.

        Advance(seconds: 2);

        var here = await TokensAsync(waiting);
        Assert.Equal((new RequestId("waits"), 0, null), (here.Id, here.FirstIndex, here.Finished));
        Assert.Empty(here.Tokens);
        await Pipeline.StepAsync(Cancel);
        await TokensAsync(Entity);
    }

    [Fact]
    public async Task Drain_is_answered_again_when_asked_again()
    {
        Start();
        var planner = CreateTestProbe();

        Replica.Tell(new ReplicaControlProtocol.Drain(Epoch.Next), planner.Ref);
        Replica.Tell(new ReplicaControlProtocol.Drain(Epoch), planner.Ref);
        Replica.Tell(new ReplicaControlProtocol.Drain(Epoch), planner.Ref);

        var first = await planner.ExpectMsgAsync<ReplicaControlProtocol.Drained>(cancellationToken: Cancel);
        var second = await planner.ExpectMsgAsync<ReplicaControlProtocol.Drained>(cancellationToken: Cancel);
        Assert.Equal(new ReplicaControlProtocol.Drained(Epoch, 3), first);
        Assert.Equal(first, second);
        Submit(Request("late", 4, 9), Entity);
        await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
    }

    [Fact]
    public async Task Sequence_that_cannot_be_sent_counts_as_not_handed_over_and_its_target_hears_how_much_is_missing()
    {
        RefusingPost.InstallIn(
            Sys, message => message is HandoverProtocol.SequencesHandedOver { Sequences.IsEmpty: false });
        Start();
        var next = CreateTestProbe();
        foreach (var id in (string[])["a", "b"]) Submit(Request(id, 40, 9), Entity);
        for (var step = 0; step < 2; step++) await Pipeline.StepAsync(Cancel);
        Replica.Tell(
            new HandoverProtocol.BeginHandover(
                Epoch, Epoch.Next, [new(0, next.Ref, [], IsHome: true, Limits.PageCount, ReservedPages: 0)]),
            CreateTestProbe());

        Replica.Tell(new ReplicaControlProtocol.Drain(Epoch), CreateTestProbe());
        await Pipeline.StepAsync(Cancel);

        var last = await next.FishForMessageAsync<HandoverProtocol.SequencesHandedOver>(
            _ => true, cancellationToken: Cancel);
        Assert.True(last.IsLast);
        Assert.Empty(last.Sequences);
        Assert.Equal(2, last.Total!.Sequences);
        Assert.InRange(last.Total.CachedTokens, 40, 82);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Handover_is_ready_when_its_target_took_the_pages_and_never_when_it_died(bool dies)
    {
        const int Pages = 4;
        Start();
        var planner = CreateTestProbe();
        var next = CreateTestProbe();
        Submit(Request("a", Pages * KvPage.Tokens, 9), Entity);
        for (var step = 0; step < 2; step++) await Pipeline.StepAsync(Cancel);
        await TokensAsync(Entity);

        Replica.Tell(
            new HandoverProtocol.BeginHandover(
                Epoch, Epoch.Next, [new(0, next.Ref, [], IsHome: true, Limits.PageCount, ReservedPages: 0)]),
            planner.Ref);
        var round = await next.FishForMessageAsync<HandoverProtocol.PagesReady>(_ => true, cancellationToken: Cancel);
        if (dies)
        {
            Watch(next.Ref);
            Sys.Stop(next.Ref);
            await ExpectTerminatedAsync(next.Ref, cancellationToken: Cancel);
            Advance(seconds: 30);
        }
        else
        {
            Replica.Tell(new HandoverProtocol.PagesTaken(Epoch.Next, 3, round.Round), next.Ref);
        }

        await LoadAsync();
        Assert.Equal(!dies, planner.HasMessages);
    }

    [Fact]
    public async Task A_lost_pipeline_is_told_to_the_parent_and_to_every_request()
    {
        Start();
        Submit(Request("a", 4, 9), Entity);
        await Pipeline.WaitForStepAsync(Cancel);

        Pipeline.Lose("closed its connection");

        var lost = await Parent.ExpectMsgAsync<ReplicaControlProtocol.ReplicaLost>(cancellationToken: Cancel);
        Assert.Contains("closed its connection", lost.Reason, StringComparison.Ordinal);
        var rejected = await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        Assert.False(rejected.Permanent);
        await Pipeline.StepAsync(Cancel); // A result that was on its way changes nothing.
        Submit(Request("a", 4, 9), Entity);
        await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
    }

    [Fact]
    public async Task A_drain_is_answered_by_the_loss_when_the_pipeline_breaks_first()
    {
        Start();
        var planner = CreateTestProbe();
        Submit(Request("a", 4, 9), Entity);
        await Pipeline.WaitForStepAsync(Cancel);
        Replica.Tell(new ReplicaControlProtocol.Drain(Epoch), planner.Ref);

        Pipeline.Lose("gone");

        await planner.ExpectMsgAsync<ReplicaControlProtocol.ReplicaLost>(cancellationToken: Cancel);
        Replica.Tell(new ReplicaControlProtocol.Drain(Epoch), planner.Ref);
        await planner.ExpectMsgAsync<ReplicaControlProtocol.ReplicaLost>(cancellationToken: Cancel);
    }

    [Fact]
    public async Task A_submission_that_the_pipeline_throws_out_is_a_loss()
    {
        Start();
        Pipeline.BrokenBy = new PeerLostException("peer", "reset");

        Submit(Request("a", 4, 9), Entity);

        await Parent.ExpectMsgAsync<ReplicaControlProtocol.ReplicaLost>(cancellationToken: Cancel);
        await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
    }

    [Fact]
    public async Task A_pipeline_that_answers_no_more_is_lost_after_the_step_timeout()
    {
        Start(new ReplicaSettings { StepTimeout = TimeSpan.FromSeconds(3) });
        Submit(Request("a", 4, 9), Entity);
        await Pipeline.StepAsync(Cancel);
        await TokensAsync(Entity);
        await Pipeline.WaitForStepAsync(Cancel);

        Advance(3); // The first tick saw a result since it began.
        for (var i = 0; i < 3; i++) await ReportedLoadAsync();
        Assert.False(Parent.HasMessages);
        Advance(1);

        await ReportedLoadAsync();
        var lost = await Parent.ExpectMsgAsync<ReplicaControlProtocol.ReplicaLost>(cancellationToken: Cancel);
        Assert.Contains("no step completed within 3 s", lost.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_parent_hears_the_load_every_second()
    {
        Start();
        Submit(Request("a", 20, 9), Entity);
        await Pipeline.WaitForStepAsync(Cancel);

        Advance(1);

        var load = await ReportedLoadAsync();
        Assert.Equal((Epoch, 3, 0, 1), (load.Epoch, load.Replica, load.Queued, load.Running));
        Assert.Equal((Limits.PageCount - 2, 1L), (load.FreePages, load.Steps));
    }

    [Fact]
    public async Task A_request_whose_sender_died_is_cancelled_after_the_grace()
    {
        Start(new ReplicaSettings { OrphanGrace = TimeSpan.FromSeconds(5) });
        Submit(Request("a", 4, 99), Entity);
        await Pipeline.StepAsync(Cancel);
        await TokensAsync(Entity);
        await KillAsync(Entity);

        Advance(4);
        Assert.Equal(1, (await LoadAsync()).Running);
        Advance(1);
        await Pipeline.StepAsync(Cancel);

        var load = await LoadAsync();
        Assert.Equal((0, Limits.PageCount), (load.Running, load.FreePages));
    }

    [Fact]
    public async Task A_request_whose_sender_died_goes_on_when_another_submits_it_within_the_grace()
    {
        Start(new ReplicaSettings { OrphanGrace = TimeSpan.FromSeconds(5) });
        var request = Request("a", 4, 6);
        Submit(request, Entity);
        await Pipeline.StepAsync(Cancel);
        await TokensAsync(Entity);
        await KillAsync(Entity);
        await Pipeline.StepAsync(Cancel);

        var next = CreateTestProbe();
        Advance(4);
        Submit(request, next);
        await TokensAsync(next);
        Advance(9);
        Assert.Equal(1, (await LoadAsync()).Running);
        for (var i = 2; i < 6; i++) await Pipeline.StepAsync(Cancel);

        Assert.Equal(4, (await ReadToEndAsync(next, from: 2)).Tokens.Count);
    }

    [Fact]
    public async Task A_stopped_replica_sends_its_requests_elsewhere_and_closes_its_pipeline()
    {
        Start();
        Submit(Request("a", 4, 9), Entity);
        await Pipeline.WaitForStepAsync(Cancel);

        Sys.Stop(Replica);

        await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        await Pipeline.Disposed.WaitAsync(Patience, Cancel);
    }

    [Fact]
    public async Task A_replica_that_fails_is_not_restarted_but_lost()
    {
        Start();
        Parent.Watch(Replica);
        Submit(Request("a", 4, 9), Entity);

        await Pipeline.CorruptStepAsync(Cancel);

        await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        var lost = await Parent.ExpectMsgAsync<ReplicaControlProtocol.ReplicaLost>(cancellationToken: Cancel);
        Assert.Contains("a token for each sampling chunk", lost.Reason, StringComparison.Ordinal);
        await Parent.ExpectTerminatedAsync(Replica, cancellationToken: Cancel);
    }

    private async Task<ReplicaControlProtocol.ReplicaLoad> ReportedLoadAsync() =>
        await Parent.ExpectMsgAsync<ReplicaControlProtocol.ReplicaLoad>(cancellationToken: Cancel);

    /// <summary>Stops a probe's actor and waits until the replica has heard of it.</summary>
    private Task KillAsync(Akka.TestKit.TestProbe probe) =>
        EventFilter.Info(contains: "lost their sender").ExpectOneAsync(
            () =>
            {
                Sys.Stop(probe.Ref);
                return Task.CompletedTask;
            },
            Cancel);
}
