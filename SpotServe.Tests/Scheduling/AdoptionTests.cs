using SpotServe.Actors.Execution;
using SpotServe.Actors.Scheduling;
using Xunit;
using static SpotServe.Tests.Scheduling.SchedulerFixture;

namespace SpotServe.Tests.Scheduling;

/// <summary>A scheduler that begins with what other replicas had.</summary>
public sealed class AdoptionTests
{
    [Fact]
    public void No_more_than_the_batch_go_on_with_their_pages_and_the_most_advanced_do()
    {
        var scheduler = new ReplicaScheduler(Limits(sequences: 3));

        var adoption = scheduler.Adopt([.. Enumerable.Range(0, 5).Select(i => State($"r{i}", generated: 1 + i))]);

        scheduler.CheckLaws();
        Assert.Equal((3, 2), (adoption.Kept, adoption.Waiting));
        Assert.Equal(
            ["r2", "r3", "r4"],
            scheduler.Sequences.Where(sequence => sequence.Phase == SequencePhase.Decode)
                .Select(sequence => sequence.Id.Value).Order());
        // What waits has to be computed anew, all that had been in its cache.
        Assert.Equal(20 + 21, adoption.TokensRecomputed);
        Assert.Equal(Limits().PageCount - 6, scheduler.FreePageCount);
    }

    [Fact]
    public void Prompt_that_was_half_way_goes_on_from_there_and_one_without_pages_waits()
    {
        var scheduler = new ReplicaScheduler(Limits());

        var adoption = scheduler.Adopt(
        [
            State("half", generated: 0) with { CachedTokens = 16, Pages = [9] },
            State("none", generated: 4) with { Pages = [] },
        ]);

        scheduler.CheckLaws();
        Assert.Equal((1, 1), (adoption.Kept, adoption.Waiting));
        Assert.True(scheduler.TryGet(new RequestId("half"), out var half));
        Assert.Equal((SequencePhase.Prefill, 16, 2), (half.Phase, half.CachedTokens, half.Pages.Length));
    }

    /// <summary>One that may kill replicas came among others with each hand-over that one of them caused, and was never
    /// found out.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_was_to_run_alone_or_did_is_to_run_alone_where_it_goes_on(bool wasPermitted)
    {
        var before = new SchedulerFixture(Limits());
        before.Submit(Request("suspect", 20, 30) with { RunsAlone = true });
        before.Submit(Request("other", 20, 30));
        before.Step();
        Assert.Equal(new RequestId("suspect"), before.Scheduler.AwaitingPermit);
        if (wasPermitted) Assert.True(before.Scheduler.Permit(new RequestId("suspect")));
        var scheduler = new ReplicaScheduler(Limits());

        scheduler.Adopt(before.Scheduler.Export());
        Assert.True(scheduler.TryPlan(new StepPlan()));   // of the other; whoever has no pages yet gets them

        Assert.Equal(new RequestId("suspect"), scheduler.AwaitingPermit);
    }

    [Fact]
    public void Prompt_that_finds_no_room_for_the_rest_gives_its_pages_back()
    {
        var scheduler = new ReplicaScheduler(Limits(pages: 2, context: 32));

        var adoption = scheduler.Adopt(
        [
            State("one", generated: 1) with { CachedTokens = 20, Pages = [0, 1] },
            State("two", generated: 0) with { CachedTokens = 0, Pages = [] },
        ]);

        scheduler.CheckLaws();
        Assert.Equal((1, 1), (adoption.Kept, adoption.Waiting));
    }

    [Fact]
    public void Sequence_with_nothing_left_to_generate_is_not_taken()
    {
        var scheduler = new ReplicaScheduler(Limits());

        var adoption = scheduler.Adopt([State("over", generated: 50), State("open", generated: 49)]);

        Assert.Equal("over", Assert.Single(adoption.Ended).Sequence.Id.Value);
        Assert.Equal("open", Assert.Single(scheduler.Sequences).Id.Value);
    }

    [Fact]
    public void Shared_page_is_shared_on_and_what_was_kept_is_kept_for_the_next_prompt()
    {
        var scheduler = new ReplicaScheduler(Limits(chunk: 16, caches: true));
        SequenceState[] states = [Alike("one", 7), Alike("two", 9)];

        var adoption = scheduler.Adopt(states);
        scheduler.Submit(Request("next", promptTokens: 40, tokensMax: 5, common: 16));
        var planned = scheduler.TryPlan(new StepPlan());

        scheduler.CheckLaws();
        Assert.True(planned);
        Assert.Equal((2, 0L, 16L), (adoption.Kept, adoption.TokensRecomputed, scheduler.PrefixHits));
        // The page that all share, one more of each of the two, and two of the newcomer.
        Assert.Equal(Limits().PageCount - 5, scheduler.FreePageCount);

        static SequenceState Alike(string id, int page)
        {
            var request = Request(id, promptTokens: 20, tokensMax: 50, common: 16);
            return new SequenceState(request.Id, request.Spec, [1], 20, [3, page]) { KeptPages = 1 };
        }
    }

    /// <summary>20 prompt tokens, all tokens but the last in the cache, on pages of its own.</summary>
    private static SequenceState State(string id, int generated)
    {
        var request = Request(id, promptTokens: 20, tokensMax: 50);
        var cached = 19 + generated;
        var first = id[^1] % 10 * 6;
        return new SequenceState(
            request.Id, request.Spec, [.. Enumerable.Range(0, generated)], cached,
            [.. Enumerable.Range(first, KvPage.Count(cached))]);
    }
}
