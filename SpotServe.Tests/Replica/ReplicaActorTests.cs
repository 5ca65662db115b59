using Akka.TestKit;
using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Tests.Scheduling.SchedulerFixture;

namespace SpotServe.Tests.Replica;

public sealed class ReplicaActorTests : ReplicaTestKit
{
    [Fact]
    public async Task Each_token_comes_in_a_message_of_its_step()
    {
        Start();
        var request = Request("a", promptTokens: 5, tokensMax: 3);
        var alone = Alone(request, Limits);
        Submit(request, Entity);

        for (var i = 0; i < 3; i++)
        {
            await Pipeline.StepAsync(Cancel);
            var message = await TokensAsync(Entity);
            Assert.Equal((i, alone[i]), (message.FirstIndex, Assert.Single(message.Tokens)));
            Assert.Equal(i == 2 ? FinishReason.Length : null, message.Finished);
        }
    }

    [Fact]
    public async Task Many_requests_at_once_get_what_each_gets_alone_and_leave_no_page()
    {
        Limits = Limits(pages: 12, context: 96, sequences: 6, steps: 3);
        Start();
        var running = Pipeline.RunAsync(Cancel);
        var requests = Enumerable.Range(0, 64)
            .Select(i => Request($"r{i}", 1 + (i * 7 % 50), 1 + (i * 5 % 40), stop: [i])).ToArray();
        var probes = requests.ToDictionary(request => request, _ => CreateTestProbe());

        foreach (var (request, probe) in probes) Submit(request, probe);

        foreach (var (request, probe) in probes)
        {
            Assert.Equal(Alone(request, Limits), (await ReadToEndAsync(probe)).Tokens);
        }

        var load = await LoadAsync();
        Assert.Equal((0, 0, 12), (load.Queued, load.Running, load.FreePages));
        Sys.Stop(Replica);
        await running;
    }

    [Fact]
    public async Task Submit_again_resends_from_the_committed_tokens_to_the_new_sender_only()
    {
        Start();
        var request = Request("a", 5, 10);
        var alone = Alone(request, Limits);
        Submit(request, Entity);
        for (var i = 0; i < 4; i++)
        {
            await Pipeline.StepAsync(Cancel);
            await TokensAsync(Entity);
        }

        var moved = CreateTestProbe();
        Submit(request, moved, alone[0]);
        Assert.Equal(alone[1..4], (await TokensAsync(moved)).Tokens);
        await Pipeline.StepAsync(Cancel);

        Assert.Equal(4, (await TokensAsync(moved)).FirstIndex);
        Assert.False(Entity.HasMessages);
    }

    [Fact]
    public async Task A_finished_request_is_answered_from_memory()
    {
        Start();
        var request = Request("a", 5, 2);
        Submit(request, Entity);
        await Pipeline.StepAsync(Cancel);
        await Pipeline.StepAsync(Cancel);
        await ReadToEndAsync(Entity);
        var steps = (await LoadAsync()).Steps;

        Submit(request, Entity);

        var again = await TokensAsync(Entity);
        Assert.Equal(Alone(request, Limits), again.Tokens);
        Assert.Equal(FinishReason.Length, again.Finished);
        Assert.Equal(steps, (await LoadAsync()).Steps);
    }

    [Fact]
    public async Task The_oldest_finished_requests_are_forgotten()
    {
        Start(new ReplicaSettings { FinishedRequestsMax = 1 });
        foreach (var id in (string[])["a", "b"])
        {
            Submit(Request(id, 5, 1), Entity);
            await Pipeline.StepAsync(Cancel);
            await ReadToEndAsync(Entity);
        }

        Submit(Request("b", 5, 1), Entity);
        await ReadToEndAsync(Entity);
        Assert.Equal(2, (await LoadAsync()).Steps);
        Submit(Request("a", 5, 1), Entity);

        Assert.Equal(3, (await LoadAsync()).Steps);
    }

    [Fact]
    public async Task Many_tokens_are_sent_again_in_one_message()
    {
        Limits = Limits(pages: 1_024, context: 16_384);
        Start();
        var committed = Enumerable.Range(0, 10_000).ToArray();
        var request = Request("a", 5, 16_000);
        Submit(request, Entity, committed);

        Submit(request, Entity);

        var again = await TokensAsync(Entity);
        Assert.Equal(0, again.FirstIndex);
        Assert.Equal(committed, again.Tokens);
        Assert.Null(again.Finished);
    }

    [Fact]
    public async Task A_request_that_comes_with_other_tokens_starts_again_from_them()
    {
        Start();
        var request = Request("a", 5, 4);
        var other = (Alone(request, Limits)[0] + 1) % 97;
        Submit(request, Entity);
        await Pipeline.StepAsync(Cancel);
        await TokensAsync(Entity);

        var moved = CreateTestProbe();
        Submit(request, moved, other);
        var running = Pipeline.RunAsync(Cancel);

        Assert.Equal(3, (await ReadToEndAsync(moved, from: 1)).Tokens.Count);
        Assert.Equal(Limits.PageCount, (await LoadAsync()).FreePages);
        Sys.Stop(Replica);
        await running;
    }

    [Fact]
    public async Task A_request_whose_committed_tokens_are_all_ends_without_a_step()
    {
        Start();

        Submit(Request("a", 5, 2), Entity, 8, 9);

        var end = await TokensAsync(Entity);
        Assert.Equal((2, 0, FinishReason.Length), (end.FirstIndex, end.Tokens.Length, end.Finished!.Value));
    }

    [Fact]
    public async Task Submit_is_rejected_with_a_reason_when_it_cannot_be_taken()
    {
        Limits = Limits(queued: 1, sequences: 1, context: 32);
        Start();
        Submit(Request("runs", 3, 9), Entity);
        Submit(Request("waits", 3, 9), Entity);

        Submit(Request("full", 3, 9), Entity);
        Submit(Request("long", 99, 9), Entity);
        Replica.Tell(Submit(Request("stale", 3, 9)) with { Epoch = new Epoch(6) }, Entity.Ref);

        var full = await RejectedAsync(Entity);
        Assert.Contains("1 requests wait", full.Reason, StringComparison.Ordinal);
        Assert.False(full.Permanent);
        Assert.True((await RejectedAsync(Entity)).Permanent);
        Assert.Equal(new Epoch(6), (await RejectedAsync(Entity)).Epoch);
    }

    [Fact]
    public async Task Cancel_frees_the_pages_when_the_step_in_flight_completes()
    {
        Start();
        Submit(Request("a", 40, 9), Entity);
        await Pipeline.WaitForStepAsync(Cancel);

        Replica.Tell(new ReplicaProtocol.Cancel(Epoch, new RequestId("a")), Entity.Ref);
        Assert.Equal(Limits.PageCount - 3, (await LoadAsync()).FreePages);
        await Pipeline.StepAsync(Cancel);

        Assert.Equal(Limits.PageCount, (await LoadAsync()).FreePages);
        Assert.False(Entity.HasMessages);
    }

    [Fact]
    public async Task A_stale_cancel_changes_nothing()
    {
        Start();
        Submit(Request("a", 4, 9), Entity);

        Replica.Tell(new ReplicaProtocol.Cancel(new Epoch(6), new RequestId("a")), Entity.Ref);

        Assert.Equal(1, (await LoadAsync()).Running);
    }

    private static async Task<ReplicaProtocol.Rejected> RejectedAsync(TestProbe probe) =>
        await probe.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
}
