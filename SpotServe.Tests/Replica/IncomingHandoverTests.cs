using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Actors.Replica.HandoverProtocol;

namespace SpotServe.Tests.Replica;

/// <summary>The new replica's side of all hand-overs to it: which ids pages get, what counts as here, and when it would
/// be wrong to begin.</summary>
public sealed class IncomingHandoverTests
{
    private const int PageCount = 20;
    private static readonly Epoch Epoch = new(4);

    private readonly RecordedActor _parent = new("parent");
    private readonly RecordedActor _self = new("self");
    private readonly RecordedActor _home = new("home");
    private readonly RecordedActor _guest = new("guest");

    [Fact]
    public void Pages_of_the_home_keep_their_ids_and_guests_take_those_that_it_set_aside()
    {
        var incoming = Expecting(0, 1);
        incoming.OnOpened(Opened(0, isHome: true, 15, 16), _home);
        incoming.OnOpened(Opened(1, isHome: false), _guest);

        incoming.OnReady(Ready(0, 1, Pages("a", 0, 3, 9)), _home);
        incoming.OnReady(Ready(1, 1, Pages("b", 0, 3, 4)), _guest);

        var copies = _parent.All<CopyPages>();
        Assert.Equal([[3, 9], [15, 16]], copies.Select(copy => copy.To.ToArray()));
        Assert.Equal([[3, 9], [3, 4]], copies.Select(copy => copy.From.ToArray()));
        Assert.Equal([0, 1], copies.Select(copy => copy.OldReplica));
    }

    [Fact]
    public void Page_that_finds_no_id_leaves_its_sequence_without_pages_and_no_other()
    {
        var incoming = Expecting(0, 1);
        incoming.OnOpened(Opened(0, isHome: true, 15), _home);
        incoming.OnOpened(Opened(1, isHome: false), _guest);
        incoming.OnHandedOver(HandedOver(0));
        incoming.OnReady(Ready(1, 1, Pages("b", 0, 3, 4), Pages("c", 0, 5)), _guest);

        // The one id that was set aside went to the sequence that could not have all it needs.
        incoming.OnHandedOver(HandedOver(1, Handed("b", 32, 2), Handed("c", 16, 1)));
        CopyAll(incoming);

        Assert.True(incoming.IsComplete);
        Assert.All(incoming.Take(), taken => Assert.Empty(taken.State.Pages));
    }

    [Fact]
    public void Request_that_was_to_run_alone_is_to_run_alone_here()
    {
        var incoming = Expecting(0);
        incoming.OnOpened(Opened(0, isHome: true, 15), _home);

        incoming.OnHandedOver(HandedOver(
            0, Handed("suspect", 0, 0) with { RunsAlone = true }, Handed("other", 0, 0)));

        Assert.Equal([true, false], incoming.Take().Select(taken => taken.State.RunsAlone));
    }

    [Fact]
    public void Home_page_beyond_this_replicas_pages_takes_another_id()
    {
        var incoming = Expecting(0);
        incoming.OnOpened(Opened(0, isHome: true, 7), _home);

        incoming.OnReady(Ready(0, 1, Pages("a", 0, PageCount - 1, PageCount)), _home);

        Assert.Equal([PageCount - 1, 7], Assert.Single(_parent.All<CopyPages>()).To);
    }

    [Fact]
    public void Known_home_is_missing_until_it_has_sent_its_last_whatever_the_others_did()
    {
        var incoming = Expecting(0, 1);
        Assert.True(incoming.IsHomeMissing);
        incoming.OnOpened(Opened(0, isHome: true), _home);
        incoming.OnOpened(Opened(1, isHome: false), _guest);
        Assert.True(incoming.IsHomeMissing);
        incoming.OnHandedOver(HandedOver(1));
        Assert.True(incoming.IsHomeMissing);
        incoming.OnHandedOver(HandedOver(0) with { IsLast = false });
        Assert.True(incoming.IsHomeMissing);

        incoming.OnHandedOver(HandedOver(0));

        Assert.False(incoming.IsHomeMissing);
    }

    [Fact]
    public void Replica_that_has_not_opened_may_be_the_home_and_counts_as_one()
    {
        var incoming = Expecting(0, 1);
        incoming.OnOpened(Opened(1, isHome: false), _guest);
        incoming.OnHandedOver(HandedOver(1));
        Assert.True(incoming.IsHomeMissing);

        incoming.OnOpened(Opened(0, isHome: false), _home);

        Assert.False(incoming.IsHomeMissing);
        Assert.Equal([0], incoming.Missing);
    }

    [Fact]
    public void Home_whose_actor_died_is_waited_for_no_more()
    {
        var incoming = Expecting(0);
        incoming.OnOpened(Opened(0, isHome: true), _home);

        Assert.False(incoming.OnTerminated(_guest));
        Assert.True(incoming.OnTerminated(_home));

        Assert.False(incoming.IsHomeMissing);
        Assert.True(incoming.IsComplete);
    }

    [Fact]
    public void Pages_of_a_replica_whose_part_is_not_clear_wait_until_it_is()
    {
        var incoming = Expecting(0, 1);
        incoming.OnReady(Ready(1, 1, Pages("b", 0, 3)), _guest);
        Assert.Equal(0, _parent.Waiting);
        incoming.OnOpened(Opened(1, isHome: false), _guest);
        Assert.Equal(0, _parent.Waiting);

        incoming.OnOpened(Opened(0, isHome: true, 15), _home);

        Assert.Equal([15], Assert.Single(_parent.All<CopyPages>()).To);
        Assert.False(incoming.IsComplete);
    }

    [Fact]
    public void Round_is_answered_when_its_pages_are_here_or_lost_and_not_before()
    {
        var incoming = OfHome();
        incoming.OnReady(Ready(0, 1, Pages("a", 0, 1)), _home);
        incoming.OnReady(Ready(0, 1, Pages("a", 0, 1)), _home);   // twice
        Assert.Equal(0, _home.Waiting);
        var copy = Assert.Single(_parent.All<CopyPages>());

        Assert.True(incoming.OnCopied(copy.Job, 64, arrived: true));
        Assert.False(incoming.OnCopied(copy.Job, 64, arrived: true));
        Assert.Equal([new PagesTaken(Epoch, 0, 1)], _home.All<PagesTaken>());

        incoming.OnReady(Ready(0, 2, Pages("b", 0, 2)), _home);
        incoming.OnCopied(Assert.Single(_parent.All<CopyPages>()).Job, 0, arrived: false);
        Assert.Equal([new PagesTaken(Epoch, 0, 2)], _home.All<PagesTaken>());

        incoming.OnReady(Ready(0, 3), _home);
        Assert.Equal([new PagesTaken(Epoch, 0, 3)], _home.All<PagesTaken>());
    }

    [Fact]
    public void Sequence_has_its_pages_only_when_all_of_them_are_here()
    {
        var incoming = OfHome();
        incoming.OnReady(Ready(0, 1, Pages("a", 0, 1, 2)), _home);
        incoming.OnHandedOver(HandedOver(0, Handed("a", 40, 2, 3)));
        var copies = _parent.All<CopyPages>();
        incoming.OnCopied(copies[0].Job, 1, arrived: true);
        Assert.False(incoming.IsComplete);
        Assert.Empty(Assert.Single(incoming.Take()).State.Pages);

        incoming.OnCopied(copies[1].Job, 1, arrived: true);

        Assert.True(incoming.IsComplete);
        Assert.Equal([1, 2, 3], Assert.Single(incoming.Take()).State.Pages);
    }

    [Fact]
    public void Sequence_with_a_lost_page_or_a_lost_message_comes_with_its_tokens_alone()
    {
        var incoming = OfHome();
        incoming.OnReady(Ready(0, 1, Pages("lost", 0, 1), Pages("gap", 0, 2), Pages("whole", 0, 3)), _home);
        incoming.OnReady(Ready(0, 3, Pages("gap", 2, 4)), _home);   // the round that told of its second page was lost
        var copies = _parent.All<CopyPages>();
        incoming.OnHandedOver(HandedOver(
            0, Handed("lost", 20, 1, 5), Handed("gap", 48, 3, 7), Handed("whole", 16, 1)));
        foreach (var copy in copies) incoming.OnCopied(copy.Job, 1, arrived: true);
        foreach (var copy in _parent.All<CopyPages>()) incoming.OnCopied(copy.Job, 0, arrived: !copy.From.Contains(5));

        var taken = incoming.Take().ToDictionary(pair => pair.Handed.Id.Value, pair => pair.State);

        Assert.True(incoming.IsComplete);
        Assert.Equal([3], taken["whole"].Pages);
        Assert.Empty(taken["gap"].Pages);
        Assert.Empty(taken["lost"].Pages);
        Assert.Equal(40, taken["gap"].Spec.Prompt.Length);
    }

    [Fact]
    public void Pages_told_anew_replace_those_of_before_and_a_late_copy_of_these_counts_no_more()
    {
        var incoming = OfHome();
        incoming.OnReady(Ready(0, 1, Pages("a", 0, 1, 2)), _home);
        var before = Assert.Single(_parent.All<CopyPages>());
        incoming.OnReady(Ready(0, 2, Pages("a", 0, 6)), _home);
        var after = Assert.Single(_parent.All<CopyPages>());
        incoming.OnHandedOver(HandedOver(0, Handed("a", 16, 1)));

        incoming.OnCopied(before.Job, 1, arrived: true);
        Assert.Empty(Assert.Single(incoming.Take()).State.Pages);
        incoming.OnCopied(after.Job, 1, arrived: true);

        Assert.Equal([6], Assert.Single(incoming.Take()).State.Pages);
    }

    [Fact]
    public void Sequence_that_two_old_replicas_hand_over_is_taken_once()
    {
        var incoming = Expecting(0, 1);
        incoming.OnOpened(Opened(0, isHome: true, 15, 16), _home);
        incoming.OnOpened(Opened(1, isHome: false), _guest);
        incoming.OnHandedOver(HandedOver(0, Handed("a", 16, 0, 3)));
        incoming.OnHandedOver(HandedOver(1, Handed("a", 16, 0, 5)));
        incoming.OnHandedOver(HandedOver(0, Handed("a", 16, 0, 3)));
        CopyAll(incoming);

        Assert.Equal([3], Assert.Single(incoming.Take()).State.Pages);
    }

    [Fact]
    public void Page_that_two_sequences_claim_is_given_to_one()
    {
        var incoming = OfHome();
        incoming.OnHandedOver(HandedOver(0, Handed("a", 16, 0, 3), Handed("b", 16, 0, 3)));
        CopyAll(incoming);

        Assert.Single(incoming.Take().SelectMany(taken => taken.State.Pages));
    }

    [Fact]
    public void Page_that_sequences_share_is_copied_once_and_shared_here()
    {
        var incoming = OfHome();
        incoming.OnReady(Ready(0, 1, Pages("a", 0, 3) with { Births = [70] }), _home);
        incoming.OnReady(Ready(0, 2, Pages("b", 0, 3) with { Births = [70] }), _home);
        incoming.OnHandedOver(HandedOver(
            0, Handed("a", 16, 1) with { KeptPages = 1 }, Handed("b", 16, 1), Shares("c", 3, birth: 70)));

        var copy = Assert.Single(_parent.All<CopyPages>());
        Assert.Equal([3], copy.To);
        Assert.False(incoming.IsComplete);
        incoming.OnCopied(copy.Job, 1, arrived: true);

        Assert.True(incoming.IsComplete);
        var taken = incoming.Take();
        Assert.All(taken, one => Assert.Equal([3], one.State.Pages));
        Assert.Equal([1, 0, 0], taken.Select(one => one.State.KeptPages));
    }

    [Fact]
    public void Page_that_is_used_for_other_content_is_copied_again_and_nobody_has_both()
    {
        var incoming = OfHome();
        incoming.OnReady(Ready(0, 1, Pages("gone", 0, 3) with { Births = [70] }), _home);
        CopyAll(incoming);
        incoming.OnHandedOver(HandedOver(0, Shares("a", 3, birth: 71), Shares("b", 3, birth: 70)));

        var copy = Assert.Single(_parent.All<CopyPages>());
        incoming.OnCopied(copy.Job, 1, arrived: true);

        Assert.Equal([3], copy.From);
        Assert.Single(incoming.Take(), taken => !taken.State.Pages.IsEmpty);
    }

    [Fact]
    public void Shared_page_whose_copy_fails_leaves_all_that_share_it_without()
    {
        var incoming = OfHome();
        incoming.OnHandedOver(HandedOver(0, Shares("a", 3, birth: 70), Shares("b", 3, birth: 70)));

        incoming.OnCopied(Assert.Single(_parent.All<CopyPages>()).Job, 0, arrived: false);

        Assert.True(incoming.IsComplete);
        Assert.All(incoming.Take(), taken => Assert.Empty(taken.State.Pages));
    }

    [Fact]
    public void Page_that_a_copy_still_writes_to_is_nobodys()
    {
        var incoming = OfHome(out var copies);
        incoming.OnReady(Ready(0, 1, Pages("gone", 0, 3)), _home);
        incoming.OnHandedOver(HandedOver(0, Handed("a", 16, 0, 3)));

        Assert.Equal([3], copies.BusyPages);
        Assert.Empty(Assert.Single(incoming.Take()).State.Pages);
    }

    [Fact]
    public void Two_copies_never_write_to_one_page_at_once_and_keep_their_order()
    {
        var copies = new PageCopyQueue(Epoch, _parent, _self);
        var content = new ArrivingPages(0, 1, []);
        copies.Ask(0, [1], [5], content);
        copies.Ask(0, [2, 3], [5, 6], content);
        copies.Ask(0, [4], [6], content);   // waits behind the second, whose page it wants
        copies.Ask(0, [7], [8], content);
        Assert.Equal([1, 7], _parent.All<CopyPages>().Select(copy => copy.From[0]));

        Assert.True(copies.TryEnd(1, 10, out _));
        Assert.Equal([2], _parent.All<CopyPages>().Select(copy => copy.From[0]));
        Assert.True(copies.TryEnd(2, 10, out _));

        Assert.Equal([4], _parent.All<CopyPages>().Select(copy => copy.From[0]));
        Assert.Equal(20, copies.Bytes);
        Assert.False(copies.IsIdle);
    }

    private IncomingHandover OfHome() => OfHome(out _);

    private IncomingHandover OfHome(out PageCopyQueue copies)
    {
        copies = new PageCopyQueue(Epoch, _parent, _self);
        var incoming = new IncomingHandover(Epoch, [0], PageCount, copies, _self);
        Assert.True(incoming.OnOpened(Opened(0, isHome: true), _home));
        Assert.False(incoming.OnOpened(Opened(0, isHome: true), _home));
        return incoming;
    }

    private IncomingHandover Expecting(params int[] replicas) =>
        new(Epoch, replicas, PageCount, new PageCopyQueue(Epoch, _parent, _self), _self);

    private void CopyAll(IncomingHandover incoming)
    {
        while (_parent.Next() is CopyPages copy) incoming.OnCopied(copy.Job, 1, arrived: true);
    }

    private static HandoverOpened Opened(int old, bool isHome, params int[] reserved) =>
        new(Epoch, old, isHome, [.. reserved]);

    private static PagesReady Ready(int old, int round, params SequencePages[] sequences) =>
        new(Epoch, old, round, [.. sequences]);

    private static SequencePages Pages(string id, int firstIndex, params int[] pages) =>
        new(new RequestId(id), firstIndex, [.. pages]);

    private static SequencesHandedOver HandedOver(int old, params HandedSequence[] sequences) =>
        new(Epoch, old, [.. sequences], IsLast: true);

    private static HandedSequence Shares(string id, int page, long birth) =>
        Handed(id, 16, 0, page) with { Births = [birth] };

    private static HandedSequence Handed(string id, int cached, int firstIndex, params int[] pages) => new(
        new RequestId(id),
        new GenerationSpec(
            [.. Enumerable.Range(0, 40)], new GenerationParameters(60, SamplingParameters.Greedy, [])),
        [.. Enumerable.Range(0, 20)],
        cached,
        firstIndex,
        [.. pages],
        Subscriber: null);
}
