using SpotServe.Actors.Scheduling;
using Xunit;
using static SpotServe.Tests.Scheduling.SchedulerFixture;

namespace SpotServe.Tests.Scheduling;

/// <summary>Nobody waits for ever: who comes first is served first, however much room the others need.</summary>
public sealed class FairnessTests
{
    private static readonly SchedulerLimits Small = Limits(pages: 16, context: 256, sequences: 4);

    [Fact]
    public void Short_request_waits_behind_a_long_one_that_lacks_room()
    {
        var fixture = new SchedulerFixture(Small);
        fixture.Submit(Request("first", promptTokens: 100, tokensMax: 30));
        fixture.Step();
        fixture.Submit(Request("long", promptTokens: 200, tokensMax: 4));
        fixture.Submit(Request("short", promptTokens: 1, tokensMax: 4));

        while (!fixture.Finished.ContainsKey("short"))
        {
            Assert.True(fixture.Step());
            Assert.True(HasBegun(fixture, "long") || !HasBegun(fixture, "short"), "short slipped past long");
        }

        Assert.Equal(["first", "short"], fixture.Finished.Keys.Where(id => id != "long"));
    }

    /// <summary>The pages that the long one needs never come free together while short ones may take them: two are in
    /// use at any time.</summary>
    [Theory]
    [InlineData(230)]
    [InlineData(250)]
    public void Long_request_is_admitted_though_short_ones_overlap_without_end(int promptTokens)
    {
        var fixture = new SchedulerFixture(Small);
        fixture.Submit(Request("short0", promptTokens: 17, tokensMax: 20));
        fixture.Submit(Request("long", promptTokens, tokensMax: 3));

        for (var i = 1; i < 100 && !fixture.Finished.ContainsKey("long"); i++)
        {
            fixture.Submit(Request($"short{i}", promptTokens: 17, tokensMax: 20));
            for (var step = 0; step < 7; step++) fixture.Step();
        }

        Assert.Contains("long", fixture.Finished.Keys);
    }

    [Fact]
    public void Long_prompt_is_not_overtaken_between_its_chunks()
    {
        var fixture = new SchedulerFixture(Limits(stepTokens: 16, chunk: 16, sequences: 4));
        fixture.Submit(Request("long", promptTokens: 60, tokensMax: 1));
        fixture.Step();
        fixture.Submit(Request("short", promptTokens: 16, tokensMax: 1));

        fixture.RunToIdle();

        Assert.Equal(["long", "short"], fixture.Finished.Keys);
    }

    [Fact]
    public void Suspended_request_comes_back_before_one_that_came_later()
    {
        var fixture = new SchedulerFixture(Limits(pages: 8, context: 128, sequences: 3));
        fixture.Submit(Request("first", promptTokens: 60, tokensMax: 60));
        fixture.Submit(Request("second", promptTokens: 40, tokensMax: 40));
        while (fixture.Scheduler.Suspensions == 0) Assert.True(fixture.Step());
        fixture.Submit(Request("late", promptTokens: 1, tokensMax: 1));

        while (!fixture.Finished.ContainsKey("late"))
        {
            Assert.True(fixture.Step());
            Assert.True(HasBegun(fixture, "second") || !HasBegun(fixture, "late"), "late slipped past second");
        }
    }

    [Fact]
    public void Pages_for_the_next_tokens_of_those_that_run_are_not_given_to_newcomers()
    {
        // Eight run with a page each that is nearly full; the newcomer's pages would be those that they need next.
        var fixture = new SchedulerFixture(Limits(stepTokens: 256, chunk: 256, pages: 64, context: 64, sequences: 12));
        for (var i = 0; i < 8; i++) fixture.Submit(Request($"r{i}", promptTokens: 15, tokensMax: 20));
        fixture.Step();
        for (var i = 0; i < 3; i++) fixture.Submit(Request($"wide{i}", promptTokens: 60, tokensMax: 2));
        fixture.Scheduler.SetAsidePages(40, end: 64);   // 16 are left: four times four, if none had to be held back

        while (!fixture.Scheduler.IsIdle && fixture.Step())
        {
        }

        Assert.Equal(0, fixture.Scheduler.Suspensions);
        Assert.Equal(11, fixture.Finished.Count);
    }

    [Fact]
    public void Page_is_never_taken_from_a_senior_for_a_junior()
    {
        var fixture = new SchedulerFixture(Limits(pages: 6, context: 96, sequences: 3));
        foreach (var id in (string[])["a", "b", "c"]) fixture.Submit(Request(id, promptTokens: 30, tokensMax: 40));
        var residence = 0;

        while (!fixture.Scheduler.IsIdle)
        {
            Assert.True(fixture.Step());
            if (!fixture.Scheduler.TryGet(new RequestId("a"), out var senior)) break;
            Assert.NotEqual(SequencePhase.Waiting, senior.Phase);
            residence = Math.Max(residence, senior.Residence);
        }

        Assert.Equal(1, residence);
        Assert.True(fixture.Scheduler.Suspensions > 0, "the scenario was to be short of pages");
    }

    [Fact]
    public void Pages_that_are_set_aside_leave_enough_for_the_longest_sequence()
    {
        var fixture = new SchedulerFixture(Limits(pages: 20, context: 128, sequences: 2));
        fixture.Submit(Request("longest", promptTokens: 20, tokensMax: 200));
        fixture.Step();

        var aside = fixture.Scheduler.SetAsidePages(1_000, end: 20);
        fixture.RunToIdle();

        Assert.Equal(20 - 8, aside.Length);
        Assert.Equal(0, fixture.Scheduler.Suspensions);
        Assert.Equal(128 - 20, fixture.Generated["longest"].Count);
    }

    [Fact]
    public void Client_with_one_request_does_not_wait_for_five_hundred_of_another()
    {
        var fixture = new SchedulerFixture(Limits(queued: 1_000, sequences: 4));
        for (var i = 0; i < 500; i++)
            fixture.Submit(Request($"many{i}", promptTokens: 16, tokensMax: 4, standing: new Standing("many")));
        for (var step = 0; step < 40; step++) fixture.Step();
        var before = fixture.Finished.Count;

        fixture.Submit(Request("one", promptTokens: 16, tokensMax: 4, standing: new Standing("one")));
        while (!HasBegun(fixture, "one")) Assert.True(fixture.Step());

        Assert.InRange(before, 10, 100);
        Assert.InRange(fixture.Finished.Count - before, 0, 4 + 1);
    }

    [Fact]
    public void Clients_that_always_wait_get_tokens_by_their_weights()
    {
        var fixture = new SchedulerFixture(Limits(queued: 1_000, sequences: 4));
        var heavy = new Standing("heavy", Weight: 3);
        for (var i = 0; i < 200; i++)
        {
            fixture.Submit(Request($"heavy{i}", promptTokens: 10 + (i % 7), tokensMax: 20, standing: heavy));
            fixture.Submit(Request($"light{i}", promptTokens: 30, tokensMax: 1 + (i % 9), standing: new("light")));
        }

        while (fixture.Finished.Keys.Count(id => id[0] == 'h') < 150) fixture.Step();

        var begun = fixture.Generated.Where(one => one.Value.Count > 0).ToArray();
        var light = begun.Where(one => one.Key[0] == 'l').Sum(one => 30 + one.Value.Count);
        var most = begun.Where(one => one.Key[0] == 'h').Sum(one => 13 + one.Value.Count);
        Assert.InRange((double)most / light, 2.7, 3.3);
    }

    [Fact]
    public void Request_that_is_cancelled_while_it_waits_costs_its_client_nothing()
    {
        var fixture = new SchedulerFixture(Limits(sequences: 1));
        fixture.Submit(Request("running", promptTokens: 10, tokensMax: 30));
        fixture.Step();
        for (var i = 0; i < 9; i++)
        {
            fixture.Submit(Request($"gone{i}", promptTokens: 200, tokensMax: 20, standing: new Standing("a")));
            Assert.True(fixture.Scheduler.Cancel(new RequestId($"gone{i}")));
        }

        fixture.Submit(Request("b1", promptTokens: 10, tokensMax: 2, standing: new Standing("b")));
        fixture.Submit(Request("a", promptTokens: 10, tokensMax: 2, standing: new Standing("a")));
        fixture.Submit(Request("b2", promptTokens: 10, tokensMax: 2, standing: new Standing("b")));
        fixture.RunToIdle();

        Assert.Equal(["running", "b1", "a", "b2"], fixture.Finished.Keys);
    }

    [Fact]
    public void Newcomers_that_are_handed_over_are_fair_to_one_another_and_behind_all_that_ran()
    {
        var limits = Limits(sequences: 1);
        var old = new SchedulerFixture(limits);
        old.Submit(Request("ran", promptTokens: 10, tokensMax: 9, standing: new Standing("a")));
        old.Step();
        string[] waiting = ["a1", "a2", "a3", "b1"];
        foreach (var id in waiting)
            old.Submit(Request(id, promptTokens: 10, tokensMax: 2, standing: new Standing(id[..1])));
        var states = old.Scheduler.Export().Select(state => state with { Pages = [] }).ToArray();
        var next = new SchedulerFixture(limits);
        foreach (var state in states) next.Generated[state.Id.Value] = [.. state.Generated];

        next.Scheduler.Adopt(states);
        next.RunToIdle();

        Assert.Equal(["ran", "a1", "b1", "a2", "a3"], next.Finished.Keys);
    }

    /// <summary>It has pages now, or is over.</summary>
    private static bool HasBegun(SchedulerFixture fixture, string id) =>
        !fixture.Scheduler.TryGet(new RequestId(id), out var sequence) || sequence.Phase != SequencePhase.Waiting;
}
