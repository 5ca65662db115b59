using SpotServe.Actors.Scheduling;
using Xunit;
using static SpotServe.Tests.Scheduling.SchedulerFixture;

namespace SpotServe.Tests.Scheduling;

/// <summary>Prompts whose tokens are scored: each once, whatever they are cut into and whoever computed them
/// before.</summary>
public sealed class PromptScoreTests
{
    [Theory]
    [InlineData(64, 32)]
    [InlineData(16, 16)]
    [InlineData(50, 48)]
    [InlineData(200, 160)]
    public void Each_token_but_the_first_is_scored_whatever_the_prompt_is_cut_into(int stepTokens, int chunk)
    {
        var fixture = new SchedulerFixture(Limits(stepTokens, chunk));
        foreach (var length in new[] { 1, 2, 16, 17, 32, 33, 100 })
            fixture.Submit(Scored(Request($"p{length}", length, tokensMax: 3)));
        fixture.Submit(Request("plain", 40, tokensMax: 3));

        fixture.RunToIdle();

        foreach (var length in new[] { 1, 2, 16, 17, 32, 33, 100 })
            AssertScored(fixture, Request($"p{length}", length, tokensMax: 3));
        Assert.Empty(fixture.PromptLogprobs["plain"]);
    }

    [Fact]
    public void Prompt_that_is_kept_is_computed_again_where_it_is_scored_and_stays_kept_for_others()
    {
        var fixture = new SchedulerFixture(Limits(chunk: 16, caches: true));
        fixture.Submit(Request("a", 64, tokensMax: 1, common: 64));
        fixture.RunToIdle();

        fixture.Submit(Scored(Request("b", 64, tokensMax: 1, common: 64)));
        fixture.RunToIdle();
        var hits = fixture.Scheduler.PrefixHits;
        fixture.Submit(Request("c", 64, tokensMax: 1, common: 64));
        fixture.RunToIdle();

        AssertScored(fixture, Request("b", 64, tokensMax: 1, common: 64));
        Assert.Equal((0, 48), (hits, fixture.Scheduler.PrefixHits));
    }

    [Fact]
    public void Others_share_what_a_scored_prompt_computed_first()
    {
        var fixture = new SchedulerFixture(Limits(chunk: 16, caches: true));
        fixture.Submit(Scored(Request("a", 64, tokensMax: 1, common: 64)));
        fixture.Submit(Request("b", 64, tokensMax: 1, common: 64));

        fixture.RunToIdle();

        AssertScored(fixture, Request("a", 64, tokensMax: 1, common: 64));
        Assert.Equal(48, fixture.Scheduler.PrefixHits);
    }

    [Fact]
    public void Sequences_that_lose_their_pages_are_scored_once()
    {
        var fixture = new SchedulerFixture(
            Limits(stepTokens: 32, chunk: 16, sequences: 4, pages: 12, context: 192, steps: 2));
        string[] ids = ["a", "b", "c", "d"];
        foreach (var id in ids) fixture.Submit(Scored(Request(id, 40, tokensMax: 100)));

        fixture.RunToIdle();

        Assert.True(fixture.Scheduler.Suspensions > 0);
        foreach (var id in ids) AssertScored(fixture, Request(id, 40, tokensMax: 100));
    }

    [Fact]
    public void Step_that_failed_has_scored_nothing()
    {
        var fixture = new SchedulerFixture(Limits(chunk: 16));
        var failures = 1;
        fixture.Fails = plan => plan.StepId == 2 && failures-- > 0
            ? new Actors.Execution.StepFailure("once", [])
            : null;
        fixture.Submit(Scored(Request("a", 60, tokensMax: 2)));
        fixture.Submit(Request("b", 60, tokensMax: 2));

        fixture.RunToIdle();

        AssertScored(fixture, Request("a", 60, tokensMax: 2));
    }

    [Fact]
    public void Prompt_that_comes_half_scored_from_another_replica_begins_anew()
    {
        var fixture = new SchedulerFixture(Limits());
        var request = Scored(Request("a", 60, tokensMax: 2));
        fixture.Generated["a"] = [];

        var adoption = fixture.Scheduler.Adopt(
            [new SequenceState(request.Id, request.Spec, [], 32, [4, 5])]);
        fixture.RunToIdle();

        Assert.Equal((0, 1, 32), (adoption.Kept, adoption.Waiting, adoption.TokensRecomputed));
        AssertScored(fixture, request);
    }

    private static GenerationRequest Scored(GenerationRequest request) => request with
    {
        Spec = request.Spec with { Parameters = request.Spec.Parameters with { PromptLogprobs = 0 } },
    };

    private static void AssertScored(SchedulerFixture fixture, GenerationRequest request)
    {
        var prompt = request.Spec.Prompt;
        var expected = Enumerable.Range(1, prompt.Length - 1)
            .Select(end => PagedModel.Score(prompt.AsSpan()[..end], prompt[end]));
        Assert.Equal(expected, fixture.PromptLogprobs[request.Id.Value]);
        Assert.Equal(Alone(request, Limits()), fixture.Generated[request.Id.Value]);
    }
}
