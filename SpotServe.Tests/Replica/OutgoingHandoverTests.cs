using SpotServe.Actors.Replica;
using SpotServe.Tests.Fragments;
using SpotServe.Tests.Scheduling;
using Xunit;
using static SpotServe.Actors.Replica.HandoverProtocol;
using static SpotServe.Tests.Scheduling.SchedulerFixture;

namespace SpotServe.Tests.Replica;

/// <summary>The old replica's side of a hand-over: who is told of which pages, and what is left for the end.</summary>
public sealed class OutgoingHandoverTests
{
    private const int Replica = 2;
    private static readonly Epoch Old = new(3);
    private static readonly Epoch New = new(4);

    private readonly RecordedActor _asker = new("planner");
    private readonly RecordedActor _self = new("self");
    private readonly RecordedActor _one = new("one");
    private readonly RecordedActor _other = new("other");

    [Fact]
    public void Every_request_goes_to_the_one_target_that_lists_it_and_a_newcomer_to_the_first()
    {
        var fixture = Decoding(["a", "b", "newcomer"], promptTokens: 40);
        var handover = Begin(fixture, Target(_one, "a"), Target(_other, "b"));

        handover.Open();
        handover.Advance();
        Assert.Empty(handover.Finish(_ => null));

        var (one, other) = (Told(_one), Told(_other));
        Assert.Equal(["a", "newcomer"], one.Pages.Select(pages => pages.Id.Value).Distinct().Order());
        Assert.Equal(["a", "newcomer"], one.Handed.Select(handed => handed.Id.Value).Order());
        Assert.Equal(["b"], other.Pages.Select(pages => pages.Id.Value).Distinct());
        Assert.Equal(["b"], other.Handed.Select(handed => handed.Id.Value));
    }

    [Fact]
    public void Request_that_is_to_run_alone_is_handed_over_as_such()
    {
        var fixture = new SchedulerFixture(Limits());
        fixture.Submit(Request("suspect", 40, 100) with { RunsAlone = true });
        fixture.Submit(Request("other", 40, 100));
        var handover = Begin(fixture, Target(_one, "suspect", "other"));

        Assert.Empty(handover.Finish(_ => null));

        Assert.Equal(
            [("other", false), ("suspect", true)],
            Told(_one).Handed.Select(handed => (handed.Id.Value, handed.RunsAlone)).Order());
    }

    [Fact]
    public void Full_pages_are_told_once_while_it_decodes_and_the_rest_at_the_end()
    {
        var fixture = Decoding(["a"], promptTokens: 40);
        var handover = Begin(fixture, Target(_one, "a"));
        handover.Advance();
        var first = Assert.Single(_one.All<PagesReady>());
        Steps(fixture, 30);
        handover.OnTaken(new PagesTaken(New, Replica, first.Round));
        var second = Assert.Single(_one.All<PagesReady>());
        Assert.Empty(handover.Finish(_ => null));
        var handed = Assert.Single(Told(_one).Handed);

        var sequence = Sequence(fixture, "a");
        Assert.Equal((0, 2), (first.Sequences[0].FirstIndex, first.Sequences[0].Pages.Length));
        Assert.Equal(2, second.Sequences[0].FirstIndex);
        Assert.Equal(handed.FirstIndex, 2 + second.Sequences[0].Pages.Length);
        AssertAreItsPages(sequence, [.. first.Sequences[0].Pages, .. second.Sequences[0].Pages, .. handed.Pages]);
        Assert.Equal(sequence.CachedTokens, handed.CachedTokens);
        Assert.Equal(sequence.Generated.ToArray(), handed.Generated);
    }

    [Fact]
    public void Next_round_waits_for_the_answer_to_the_last_one_and_for_no_other()
    {
        var fixture = Decoding(["a"], promptTokens: 40);
        var handover = Begin(fixture, lastRound: 7, Target(_one, "a"));
        handover.Advance();
        var round = Assert.Single(_one.All<PagesReady>()).Round;
        Assert.Equal(8, round);
        Steps(fixture, 30);

        handover.Advance();
        handover.OnTaken(new PagesTaken(New, Replica, 7));   // of the handover before
        handover.OnTaken(new PagesTaken(New, Replica, round + 1));
        Assert.Equal(0, _one.Waiting);

        handover.OnTaken(new PagesTaken(New, Replica, round));
        handover.OnTaken(new PagesTaken(New, Replica, round));
        Assert.Single(_one.All<PagesReady>());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Sequence_that_lost_its_pages_in_between_is_told_from_its_first_page_again(bool inARound)
    {
        var fixture = Short(out var handover);
        Suspend(fixture, "junior");
        while (Sequence(fixture, "junior").CachedTokens < 3 * KvPage.Tokens) Assert.True(fixture.Step());
        if (inARound) handover.Tick(ticksMax: 1_000);
        var told = _one.All<PagesReady>().SelectMany(round => round.Sequences)
            .Where(pages => pages.Id.Value == "junior").ToArray();
        Assert.Empty(handover.Finish(_ => null));
        var handed = Assert.Single(Told(_one).Handed, handed => handed.Id.Value == "junior");

        var sequence = Sequence(fixture, "junior");
        Assert.True(sequence.Residence > 1);
        Assert.Equal(inARound ? 1 : 0, told.Length);
        if (inARound) Assert.Equal(0, told[0].FirstIndex);
        AssertAreItsPages(sequence, [.. told.SelectMany(pages => pages.Pages), .. handed.Pages]);
    }

    [Fact]
    public void Round_that_was_put_together_before_its_sequence_lost_its_pages_is_not_told()
    {
        // More full pages than one round tells: the second round waits for the first one's answer.
        const int Tokens = (HandoverChunks.RoundPagesMax + 40) * KvPage.Tokens;
        var fixture = new SchedulerFixture(Limits(
            stepTokens: Tokens, chunk: Tokens, sequences: 2, pages: 700, context: Tokens + 200));
        fixture.Submit(Request("a", Tokens, 100));
        fixture.Step();
        var handover = Begin(fixture, Target(_one, "a"));
        handover.Advance();
        var first = Assert.Single(_one.All<PagesReady>());
        Assert.Equal(HandoverChunks.RoundPagesMax, first.Sequences.Sum(pages => pages.Pages.Length));

        fixture.Scheduler.Cancel(new RequestId("a"));
        fixture.Submit(Request("a", Tokens, 100));   // it comes again: the same id, other pages
        handover.OnTaken(new PagesTaken(New, Replica, first.Round));

        Assert.All(_one.All<PagesReady>(), round => Assert.Empty(round.Sequences));
    }

    [Fact]
    public void Asker_hears_once_when_all_targets_have_what_there_is_and_again_when_it_asks_again()
    {
        var fixture = Decoding(["a", "b"], promptTokens: 40);
        var handover = Begin(fixture, Target(_one, "a"), Target(_other, "b"));
        handover.Advance();
        handover.OnTaken(new PagesTaken(New, Replica, _one.All<PagesReady>()[0].Round));
        Assert.Equal(0, _asker.Waiting);

        handover.OnTaken(new PagesTaken(New, Replica, _other.All<PagesReady>()[0].Round));
        handover.Tick(ticksMax: 10);
        Assert.Equal([new HandoverReady(Old, Replica, New)], _asker.All<HandoverReady>());

        handover.Repeat(_asker);
        handover.Advance();
        Assert.Single(_asker.All<HandoverReady>());
    }

    [Fact]
    public void Target_that_answers_no_more_is_given_up_and_gets_the_rest_at_the_end()
    {
        var fixture = Decoding(["a"], promptTokens: 40);
        var handover = Begin(fixture, Target(_one, "a"));
        handover.Advance();
        var told = Assert.Single(_one.All<PagesReady>()).Sequences[0].Pages;
        Steps(fixture, 30);

        Assert.Empty(handover.Tick(ticksMax: 3));
        Assert.Empty(handover.Tick(ticksMax: 3));
        Assert.Equal([0], handover.Tick(ticksMax: 3));
        Assert.Empty(handover.Tick(ticksMax: 3));

        Assert.Single(_asker.All<HandoverReady>());
        Assert.Equal(0, _one.Waiting);
        handover.Finish(_ => null);
        var handed = Assert.Single(Told(_one).Handed);
        Assert.Equal(told.Length, handed.FirstIndex);
        Assert.Equal(KvPage.Count(handed.CachedTokens) - told.Length, handed.Pages.Length);
    }

    [Fact]
    public void Dead_target_gets_nothing_its_requests_are_left_and_the_asker_never_hears_that_all_is_ready()
    {
        var fixture = Decoding(["a", "b"], promptTokens: 40);
        var handover = Begin(fixture, Target(_one, "a"), Target(_other, "b"));
        handover.Advance();
        var round = _one.All<PagesReady>()[0].Round;
        _other.All<object>();

        Assert.True(handover.OnTerminated(_other));
        Assert.False(handover.OnTerminated(_asker));
        handover.OnTaken(new PagesTaken(New, Replica, round));
        var left = handover.Finish(_ => null);
        handover.SendHanded();

        Assert.Equal(["b: its new replica is gone"], left);
        Assert.Equal((0, 0), (_other.Waiting, _asker.Waiting));
        Assert.All(_one.All<SequencesHandedOver>(), told => Assert.Equal("a", Assert.Single(told.Sequences).Id.Value));
    }

    [Fact]
    public void Ids_are_set_aside_for_a_home_alone_below_its_page_count_and_given_back()
    {
        var fixture = new SchedulerFixture(Limits(pages: 64));
        var free = fixture.Scheduler.FreePageCount;

        var handover = Begin(
            fixture,
            Target(_one) with { IsHome = true, PageCount = 40, ReservedPages = 6 },
            Target(_other) with { ReservedPages = 6 });
        handover.Open();

        var reserved = Assert.Single(_one.All<HandoverOpened>());
        Assert.True(reserved.IsHome);
        Assert.Equal(6, reserved.Reserved.Length);
        Assert.All(reserved.Reserved, page => Assert.InRange(page, 0, 39));
        Assert.Empty(Assert.Single(_other.All<HandoverOpened>()).Reserved);
        Assert.Equal(free - 6, fixture.Scheduler.FreePageCount);
        handover.GiveBackPages();
        Assert.Equal(free, fixture.Scheduler.FreePageCount);
    }

    [Fact]
    public void What_was_handed_over_comes_again_as_it_was_and_only_its_last_message_says_so()
    {
        const int Prompt = 9_000;   // four of these do not fit a message
        var fixture = new SchedulerFixture(Limits(
            stepTokens: 4 * Prompt, chunk: Prompt, sequences: 4, pages: 4 * 600, context: Prompt + 100));
        foreach (var id in (string[])["a", "b", "c", "d"]) fixture.Submit(WideRequest(id, Prompt));
        fixture.Step();
        var handover = Begin(fixture, Target(_one, "a"));

        handover.Finish(_ => null);
        var first = _one.All<SequencesHandedOver>();
        handover.SendHanded();
        var again = _one.All<SequencesHandedOver>();

        Assert.True(first.Length > 1);
        Assert.Equal(4, first.Sum(told => told.Sequences.Length));
        Assert.All(first[..^1], told => Assert.False(told.IsLast));
        Assert.True(first[^1].IsLast);
        Assert.Equal(
            first.SelectMany(told => told.Sequences).Select(handed => (handed.Id, handed.CachedTokens)),
            again.SelectMany(told => told.Sequences).Select(handed => (handed.Id, handed.CachedTokens)));
    }

    [Fact]
    public void Targets_without_a_sequence_are_told_that_nothing_comes()
    {
        var handover = Begin(new SchedulerFixture(Limits()), Target(_one), Target(_other));

        handover.Finish(_ => null);
        Assert.All([_one, _other], target => Assert.True(Assert.Single(target.All<SequencesHandedOver>()).IsLast));
        handover.Abandon();
        Assert.All([_one, _other], target => Assert.True(Assert.Single(target.All<SequencesHandedOver>()).IsLast));
    }

    private OutgoingHandover Begin(SchedulerFixture fixture, params HandoverTarget[] targets) =>
        Begin(fixture, lastRound: 0, targets);

    private OutgoingHandover Begin(SchedulerFixture fixture, int lastRound, params HandoverTarget[] targets) => new(
        new BeginHandover(Old, New, [.. targets.Select((target, i) => target with { NewReplica = i })]),
        Replica, fixture.Scheduler, lastRound, OneProcess.Messages(), _asker, _self);

    private static HandoverTarget Target(RecordedActor leader, params string[] requests) => new(
        0, leader, [.. requests.Select(id => new RequestId(id))], IsHome: false, PageCount: 64, ReservedPages: 0);

    /// <summary>A senior and a junior on few pages, the junior's two full pages told and taken.</summary>
    private SchedulerFixture Short(out OutgoingHandover handover)
    {
        var fixture = new SchedulerFixture(Limits(pages: 8, context: 128, sequences: 3));
        fixture.Submit(Request("senior", promptTokens: 50, tokensMax: 60));
        fixture.Submit(Request("junior", promptTokens: 34, tokensMax: 60));
        Steps(fixture, 3);
        handover = Begin(fixture, Target(_one, "senior", "junior"));
        handover.Advance();
        handover.OnTaken(new PagesTaken(New, Replica, Assert.Single(_one.All<PagesReady>()).Round));
        return fixture;
    }

    /// <summary>Until it has given its pages up and got others.</summary>
    private static void Suspend(SchedulerFixture fixture, string id)
    {
        var sequence = Sequence(fixture, id);
        var pages = sequence.Pages.ToArray();
        while (sequence.Residence < 2) Assert.True(fixture.Step());
        Assert.NotEqual(pages[0], sequence.Pages[0]);
    }

    private static SchedulerFixture Decoding(string[] ids, int promptTokens)
    {
        var fixture = new SchedulerFixture(Limits(stepTokens: 256, chunk: 64));
        foreach (var id in ids) fixture.Submit(Request(id, promptTokens, tokensMax: 100));
        fixture.Step();
        return fixture;
    }

    private static void Steps(SchedulerFixture fixture, int count)
    {
        for (var i = 0; i < count; i++) Assert.True(fixture.Step());
    }

    private static Actors.Scheduling.Sequence Sequence(SchedulerFixture fixture, string id)
    {
        Assert.True(fixture.Scheduler.TryGet(new RequestId(id), out var sequence));
        return sequence;
    }

    /// <summary>All pages that hold something of it, in order.</summary>
    private static void AssertAreItsPages(Actors.Scheduling.Sequence sequence, int[] told) =>
        Assert.Equal(sequence.Pages[..KvPage.Count(sequence.CachedTokens)].ToArray(), told);

    /// <summary>Tokens that take three bytes each in a message.</summary>
    private static GenerationRequest WideRequest(string id, int promptTokens)
    {
        var request = Request(id, promptTokens, tokensMax: 50);
        return request with
        {
            Spec = request.Spec with { Prompt = [.. Enumerable.Repeat(100_000, promptTokens)] },
        };
    }

    private static (SequencePages[] Pages, HandedSequence[] Handed) Told(RecordedActor target)
    {
        var told = target.All<IMessage>();
        return ([.. told.OfType<PagesReady>().SelectMany(round => round.Sequences)],
            [.. told.OfType<SequencesHandedOver>().SelectMany(message => message.Sequences)]);
    }
}
