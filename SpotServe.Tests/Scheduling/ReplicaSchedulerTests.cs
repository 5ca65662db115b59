using SpotServe.Actors.Execution;
using SpotServe.Actors.Scheduling;
using Xunit;
using static SpotServe.Tests.Scheduling.SchedulerFixture;

namespace SpotServe.Tests.Scheduling;

public sealed class ReplicaSchedulerTests
{
    [Fact]
    public void A_request_gets_its_tokens_and_leaves_no_page()
    {
        var limits = Limits();
        var fixture = new SchedulerFixture(limits);
        var request = Request("a", promptTokens: 40, tokensMax: 30);

        fixture.Submit(request);
        fixture.RunToIdle();

        Assert.Equal(Alone(request, limits), fixture.Generated["a"]);
        Assert.Equal(FinishReason.Length, fixture.Finished["a"]);
        Assert.Equal(limits.PageCount, fixture.Scheduler.FreePageCount);
    }

    [Fact]
    public void A_long_prompt_is_prefilled_in_chunks_beside_decode()
    {
        var fixture = new SchedulerFixture(Limits(stepTokens: 20, chunk: 16));
        fixture.Submit(Request("short", promptTokens: 4, tokensMax: 20));
        fixture.Step();
        fixture.Submit(Request("long", promptTokens: 40, tokensMax: 4));

        fixture.Step();
        Assert.Equal([(4, 1, true), (0, 16, false)], fixture.Planned);

        fixture.Step();
        fixture.Step();
        Assert.Equal([(6, 1, true), (32, 8, true)], fixture.Planned);
    }

    [Fact]
    public void A_prompt_is_cut_at_the_same_places_whatever_else_runs()
    {
        var fixture = new SchedulerFixture(Limits(stepTokens: 40, chunk: 16));
        fixture.Submit(Request("first", promptTokens: 40, tokensMax: 4));
        fixture.Submit(Request("second", promptTokens: 37, tokensMax: 4));
        fixture.Submit(Request("third", promptTokens: 35, tokensMax: 4));
        var planned = new List<(int Start, int Count)>();

        for (var i = 0; i < 5; i++)
        {
            fixture.Step();
            planned.AddRange(fixture.Planned.Where(chunk => chunk.Count > 1).Select(c => (c.Start, c.Count)));
        }

        (int, int)[] whole = [(0, 16), (0, 16), (0, 16), (16, 16), (16, 16), (16, 16)];
        Assert.Equal([.. whole, (32, 3), (32, 5), (32, 8)], planned.Order());
    }

    [Fact]
    public void Generated_tokens_that_were_lost_come_in_chunks_of_their_own()
    {
        var fixture = new SchedulerFixture(Limits(stepTokens: 40, chunk: 16));
        fixture.Submit(Request("a", promptTokens: 10, tokensMax: 30, committed: [.. Enumerable.Range(0, 12)]));

        fixture.Step();
        Assert.Equal([(0, 10, false)], fixture.Planned);
        Assert.Equal([0], fixture.Replays);

        fixture.Step();
        Assert.Equal([(10, 6, false)], fixture.Planned);
        Assert.Equal([1], fixture.Replays);

        fixture.Step();
        Assert.Equal([(16, 6, true)], fixture.Planned);
        Assert.Equal([1], fixture.Replays);
    }

    [Fact]
    public void Sequences_are_spread_over_the_steps_in_flight()
    {
        var fixture = new SchedulerFixture(Limits(steps: 3, sequences: 8));
        for (var i = 0; i < 8; i++) fixture.Submit(Request($"r{i}", promptTokens: 4, tokensMax: 100));
        for (var i = 0; i < 3; i++) Assert.True(fixture.Plan());
        Assert.False(fixture.Plan());

        for (var i = 0; i < 30; i++)
        {
            fixture.Complete();
            Assert.True(fixture.Plan());
            Assert.InRange(fixture.Planned.Count, 2, 3);
        }
    }

    [Fact]
    public void A_sequence_is_in_one_step_at_a_time()
    {
        var fixture = new SchedulerFixture(Limits(steps: 4));
        fixture.Submit(Request("a", promptTokens: 200, tokensMax: 5));

        Assert.True(fixture.Plan());
        Assert.False(fixture.Plan());
        fixture.Complete();
        Assert.True(fixture.Plan());
    }

    [Fact]
    public void The_least_senior_is_suspended_when_pages_run_out_and_resumes_with_its_tokens()
    {
        var limits = Limits(pages: 4, context: 64, sequences: 2);
        var fixture = new SchedulerFixture(limits);
        GenerationRequest[] requests = [Request("first", 20, 40), Request("second", 20, 40)];
        foreach (var request in requests) fixture.Submit(request);

        fixture.RunToIdle();

        Assert.InRange(fixture.Scheduler.Suspensions, 1, 3);
        Assert.All(requests, request => Assert.Equal(Alone(request, limits), fixture.Generated[request.Id.Value]));
        Assert.Equal(["first", "second"], fixture.Finished.Keys);
    }

    [Fact]
    public void A_victim_in_flight_is_waited_for()
    {
        var limits = Limits(pages: 4, context: 64, sequences: 2, steps: 2);
        var fixture = new SchedulerFixture(limits);
        fixture.Submit(Request("senior", 31, 20));
        fixture.Submit(Request("junior", 31, 20));
        fixture.Plan();
        fixture.Plan();
        fixture.Complete();
        fixture.Plan();
        fixture.Complete();
        fixture.Plan();
        fixture.Complete(); // The senior now needs its third page; the junior is in flight.

        Assert.False(fixture.Plan());
        Assert.Equal(0, fixture.Scheduler.Suspensions);
        fixture.Complete();

        Assert.True(fixture.Plan());
        Assert.Equal([(32, 1, true)], fixture.Planned);
        Assert.Equal(1, fixture.Scheduler.Suspensions);
    }

    [Fact]
    public void A_continued_request_goes_on_where_it_was()
    {
        var limits = Limits();
        var whole = Request("a", promptTokens: 10, tokensMax: 30);
        var expected = Alone(whole, limits);
        var fixture = new SchedulerFixture(limits);

        fixture.Submit(Request("a", 10, 30, committed: [.. expected[..12]]));
        fixture.RunToIdle();

        Assert.Equal(expected, fixture.Generated["a"]);
    }

    [Fact]
    public void A_continued_request_is_admitted_before_new_ones()
    {
        var fixture = new SchedulerFixture(Limits(sequences: 1));
        fixture.Submit(Request("new", 4, 3));
        fixture.Submit(Request("continued", 4, 3, committed: [5]));

        fixture.RunToIdle();

        Assert.Equal(["continued", "new"], fixture.Finished.Keys);
    }

    [Fact]
    public void Generation_ends_at_a_stop_token_which_is_not_kept()
    {
        var limits = Limits();
        var alone = Alone(Request("a", 10, 20), limits);
        var at = Enumerable.Range(3, 17).First(i => !alone[..i].Contains(alone[i]));
        var fixture = new SchedulerFixture(limits);

        fixture.Submit(Request("a", 10, 20, stop: [alone[at]]));
        fixture.RunToIdle();

        Assert.Equal(alone[..at], fixture.Generated["a"]);
        Assert.Equal(FinishReason.Stop, fixture.Finished["a"]);
    }

    [Fact]
    public void Generation_ends_when_the_context_is_full()
    {
        var fixture = new SchedulerFixture(Limits(context: 32));
        fixture.Submit(Request("a", promptTokens: 20, tokensMax: 100));

        fixture.RunToIdle();

        Assert.Equal(12, fixture.Generated["a"].Count);
        Assert.Equal(FinishReason.Length, fixture.Finished["a"]);
    }

    [Fact]
    public void Cancel_frees_pages_at_once_or_when_the_step_in_flight_completes()
    {
        var limits = Limits();
        var fixture = new SchedulerFixture(limits);
        fixture.Submit(Request("ready", 20, 50));
        fixture.Submit(Request("flying", 20, 50));
        fixture.Step();

        Assert.True(fixture.Scheduler.Cancel(new RequestId("ready")));
        Assert.Equal(limits.PageCount - 2, fixture.Scheduler.FreePageCount);
        fixture.Plan();
        Assert.True(fixture.Scheduler.Cancel(new RequestId("flying")));
        Assert.False(fixture.Scheduler.Cancel(new RequestId("flying")));
        Assert.Equal(limits.PageCount - 2, fixture.Scheduler.FreePageCount);
        var outcome = Assert.Single(fixture.Complete());

        Assert.Equal((FinishReason.Cancelled, 2), (outcome.Finished!.Value, outcome.PagesFreed));
        Assert.Null(outcome.Token);
        Assert.True(fixture.Scheduler.IsIdle);
    }

    [Fact]
    public void A_cancelled_request_can_come_again_while_its_old_step_is_in_flight()
    {
        var limits = Limits(steps: 2);
        var fixture = new SchedulerFixture(limits);
        var request = Request("a", 20, 10);
        fixture.Submit(request);
        fixture.Plan();
        fixture.Scheduler.Cancel(request.Id);

        Assert.IsType<Submission.Queued>(fixture.Submit(request));
        fixture.RunToIdle();

        Assert.Equal(Alone(request, limits), fixture.Generated["a"]);
    }

    [Fact]
    public void A_long_request_gets_its_turn_though_short_ones_keep_coming()
    {
        var fixture = new SchedulerFixture(Limits(pages: 8, context: 128, sequences: 4));
        for (var i = 0; i < 4; i++) fixture.Submit(Request($"first{i}", 16, 16));
        fixture.Submit(Request("long", 100, 20));

        for (var i = 0; i < 100 && !fixture.Finished.ContainsKey("long"); i++)
        {
            if (fixture.Scheduler.WaitingCount < 8) fixture.Submit(Request($"short{i}", 1, 8));
            Assert.True(fixture.Step());
        }

        Assert.Contains("long", fixture.Finished.Keys);
    }

    [Fact]
    public void Submit_says_what_is_wrong()
    {
        var fixture = new SchedulerFixture(Limits(queued: 1, context: 32));

        Assert.Equal(new Submission.TooLong(32, 31), fixture.Submit(Request("long", 32, 1)));
        Assert.IsType<Submission.Malformed>(fixture.Submit(Request("empty", 0, 1)));
        Assert.IsType<Submission.Malformed>(fixture.Submit(Request("nothing", 1, 0)));
        Assert.Equal(
            new Submission.Complete(FinishReason.Length), fixture.Submit(Request("over", 3, 2, committed: [1, 2])));
        Assert.Equal(
            new Submission.Complete(FinishReason.Stop),
            fixture.Submit(Request("stopped", 3, 9, committed: [1, 2], stop: [2])));
        Assert.IsType<Submission.Queued>(fixture.Submit(Request("a", 4, 4)));
        Assert.IsType<Submission.Known>(fixture.Submit(Request("a", 4, 4)));
        Assert.Equal(new Submission.QueueFull(1), fixture.Submit(Request("b", 4, 4)));
    }

    [Fact]
    public void Limits_that_contradict_each_other_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Limits(sequences: 0));
        var tokens = Assert.Throws<ArgumentException>(() => new ReplicaScheduler(Limits(stepTokens: 4)));
        Assert.Contains("Raise StepTokensMax", tokens.Message, StringComparison.Ordinal);
        var pages = Assert.Throws<ArgumentException>(() => new ReplicaScheduler(Limits(pages: 3, context: 49)));
        Assert.Contains("give 4 pages", pages.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new ReplicaScheduler(Limits(context: 1)));
    }

    [Fact]
    public void A_decode_step_allocates_nothing()
    {
        var scheduler = new ReplicaScheduler(Limits());
        for (var i = 0; i < 8; i++) scheduler.Submit(Request($"r{i}", promptTokens: 4, tokensMax: 200));
        var plan = new StepPlan();
        List<long> allocated = [];
        for (var i = 0; i < 64; i++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.True(scheduler.TryPlan(plan));
            var planned = GC.GetAllocatedBytesForCurrentThread() - before;
            var result = new StepResult(plan.StepId, [.. new int[plan.SampleCount]]);
            before = GC.GetAllocatedBytesForCurrentThread();
            scheduler.Complete(result);
            allocated.Add(planned + GC.GetAllocatedBytesForCurrentThread() - before);
        }

        // Now and then a list of tokens or pages grows.
        Assert.InRange(allocated.Count(bytes => bytes == 0), 48, 64);
    }
}
