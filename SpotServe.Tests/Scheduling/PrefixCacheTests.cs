using SpotServe.Actors.Execution;
using SpotServe.Actors.Scheduling;
using Xunit;
using static SpotServe.Tests.Scheduling.SchedulerFixture;

namespace SpotServe.Tests.Scheduling;

/// <summary>Prompts that begin alike are computed once, and nobody's text changes for it.</summary>
public sealed class PrefixCacheTests
{
    private static readonly SchedulerLimits Caching = Limits(
        stepTokens: 512, chunk: 384, sequences: 8, pages: 1_200, context: 8_192, caches: true);

    [Fact]
    public void Four_completions_of_one_prompt_compute_it_once_also_when_they_come_together()
    {
        var fixture = new SchedulerFixture(Caching);
        GenerationRequest[] requests =
        [
            .. "abcd".Select(id => Request($"{id}", 4_000, tokensMax: 5, common: 4_000, sharesPrompt: true)),
        ];

        var computed = Run(fixture, requests);

        // Each computes the last page, which is its own, and its four tokens but the last.
        Assert.Equal(4_000 + (3 * 16) + (4 * 4), computed);
        Assert.Equal(3 * 3_984, fixture.Scheduler.PrefixHits);
        Assert.Equal(4 * 4_000, fixture.Scheduler.PrefixQueries);
    }

    [Fact]
    public void Common_prefix_is_computed_once_up_to_where_a_chunk_ends()
    {
        var fixture = new SchedulerFixture(Caching);

        var first = Run(fixture, Request("a", 2_100, tokensMax: 1, common: 2_000));
        var second = Run(fixture, Request("b", 2_500, tokensMax: 1, common: 2_000));

        Assert.Equal(2_100, first);
        Assert.Equal(2_500 - 1_920, second);
    }

    [Fact]
    public void Chunks_are_cut_where_they_are_without_a_cache()
    {
        var (with, without) = (new SchedulerFixture(Caching), new SchedulerFixture(Caching with { PrefixRoot = null }));
        Run(with, Request("a", 1_000, tokensMax: 1, common: 900));

        List<(int Start, int Count, bool)> Cuts(SchedulerFixture fixture)
        {
            List<(int, int, bool)> cuts = [];
            fixture.Submit(Request("b", 1_000, tokensMax: 1, common: 900));
            while (fixture.Step()) cuts.AddRange(fixture.Planned);
            return cuts;
        }

        var all = Cuts(without);
        var left = Cuts(with);

        Assert.Equal([(0, 384, false), (384, 384, false), (768, 232, true)], all);
        Assert.Equal(all[2..], left);
    }

    [Fact]
    public void Whole_prompt_that_is_kept_is_computed_from_its_last_chunk_on_for_its_logits()
    {
        var fixture = new SchedulerFixture(Caching);
        Run(fixture, Request("a", 768, tokensMax: 1, common: 768));

        var computed = Run(fixture, Request("b", 768, tokensMax: 1, common: 768));

        Assert.Equal(384, computed);
    }

    [Fact]
    public void Prompts_that_a_chunk_cut_otherwise_are_not_shared()
    {
        // The second's first chunk is longer than the first's whole prompt: its bits may be others.
        var fixture = new SchedulerFixture(Caching);
        Run(fixture, Request("a", 200, tokensMax: 1, common: 200));

        Assert.Equal(800, Run(fixture, Request("b", 800, tokensMax: 1, common: 200)));
    }

    [Fact]
    public void Sequence_that_lost_its_pages_finds_what_is_left_of_its_prompt()
    {
        var limits = Limits(stepTokens: 64, chunk: 32, sequences: 2, pages: 12, context: 192, caches: true);
        var fixture = new SchedulerFixture(limits);
        GenerationRequest[] requests = [Request("a", 60, tokensMax: 100), Request("b", 60, tokensMax: 100)];

        Run(fixture, requests);

        Assert.True(fixture.Scheduler.Suspensions > 0);
        Assert.True(fixture.Scheduler.PrefixHits > 0);
    }

    [Fact]
    public void One_that_waits_for_another_goes_on_when_that_one_ends_without_having_computed_it()
    {
        var fixture = new SchedulerFixture(Caching);
        fixture.Submit(Request("a", 4_000, tokensMax: 1, common: 4_000));
        fixture.Submit(Request("b", 4_000, tokensMax: 2, common: 4_000));
        fixture.Step();

        fixture.Scheduler.Cancel(new RequestId("a"));
        fixture.RunToIdle();

        Assert.Equal(Alone(Request("b", 4_000, tokensMax: 2, common: 4_000), Caching), fixture.Generated["b"]);
    }

    [Fact]
    public void Failed_chunk_is_kept_for_nobody()
    {
        var fixture = new SchedulerFixture(Caching)
        {
            Fails = plan => plan.Chunks[0].Start == 0
                ? new StepFailure("it is poison", [new ChunkFault(0, "poison")])
                : null,
        };
        fixture.Submit(Request("a", 800, tokensMax: 1, common: 800));
        fixture.RunToIdle();
        fixture.Fails = _ => null;

        Assert.Equal(800, Run(fixture, Request("b", 800, tokensMax: 1, common: 800)));
    }

    [Fact]
    public void Without_a_root_nothing_is_kept()
    {
        var fixture = new SchedulerFixture(Caching with { PrefixRoot = null });
        Run(fixture, Request("a", 800, tokensMax: 1, common: 800));

        Assert.Equal(800, Run(fixture, Request("b", 800, tokensMax: 1, common: 800)));
        Assert.Equal((0L, 0L), (fixture.Scheduler.PrefixHits, fixture.Scheduler.PrefixQueries));
    }

    [Fact]
    public void Keys_tell_models_tokens_and_cuts_apart()
    {
        int[] tokens = [.. Enumerable.Range(0, 64)];
        var cuts = new PromptCuts(32, 64, 64);
        var keys = cuts.Keys(PrefixKey.Root("one"), tokens);

        Assert.Equal(4, keys.Distinct().Count());
        Assert.Empty(keys.Intersect(cuts.Keys(PrefixKey.Root("other"), tokens)));
        Assert.Empty(keys.Intersect(new PromptCuts(64, 64, 64).Keys(PrefixKey.Root("one"), tokens)));
        int[] changed = [.. tokens.Select((token, i) => i == 20 ? 99 : token)];
        Assert.Equal(keys[..1], keys.Intersect(cuts.Keys(PrefixKey.Root("one"), changed)));
    }

    /// <summary>Runs requests to their ends, each to what it gets alone.</summary>
    /// <returns>Tokens that were computed.</returns>
    private static int Run(SchedulerFixture fixture, params GenerationRequest[] requests)
    {
        foreach (var request in requests) Assert.IsType<Submission.Queued>(fixture.Submit(request));
        var computed = 0;
        while (!fixture.Scheduler.IsIdle)
        {
            Assert.True(fixture.Step());
            computed += fixture.Planned.Sum(chunk => chunk.Count);
        }

        foreach (var request in requests)
        {
            var limits = Caching with { ContextMax = fixture.ContextMax };
            Assert.Equal(Alone(request, limits), fixture.Generated[request.Id.Value]);
        }

        return computed;
    }
}
