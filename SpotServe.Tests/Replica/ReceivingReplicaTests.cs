using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Actors.Replica.HandoverProtocol;
using static SpotServe.Tests.Scheduling.SchedulerFixture;

namespace SpotServe.Tests.Replica;

/// <summary>A replica that waits for older ones: when it begins to serve, with what, and when it must not.</summary>
public sealed class ReceivingReplicaTests : ReplicaTestKit
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Replica_never_serves_while_its_home_may_still_write_to_shared_pages(bool byDrain)
    {
        Start(expects: [0, 1]);
        var (home, guest) = (CreateTestProbe(), CreateTestProbe());
        Replica.Tell(new HandoverOpened(Epoch, 0, IsHome: true, []), home);
        Replica.Tell(new HandoverOpened(Epoch, 1, IsHome: false, []), guest);
        Replica.Tell(new SequencesHandedOver(Epoch, 1, [], IsLast: true), guest);
        Submit(Request("early", 4, 9), Entity);

        if (byDrain) Replica.Tell(new ReplicaControlProtocol.Drain(Epoch), TestActor);
        else Replica.Tell(new ServeNow(Epoch, HomeMayCome: false), TestActor);

        var lost = await Parent.ExpectMsgAsync<ReplicaControlProtocol.ReplicaLost>(cancellationToken: Cancel);
        Assert.Contains("replica 0 before it has not handed over", lost.Reason, StringComparison.Ordinal);
        await Entity.ExpectMsgAsync<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        Replica.Tell(new SequencesHandedOver(Epoch, 0, [], IsLast: true), home);
        Replica.Tell(new ServeNow(Epoch, HomeMayCome: false), TestActor);
        Assert.False(Parent.HasMessages);
    }

    [Fact]
    public async Task Replica_that_is_to_serve_waits_for_a_home_that_is_only_late()
    {
        Start(expects: [0, 1]);
        var (home, guest) = (CreateTestProbe(), CreateTestProbe());
        Replica.Tell(new HandoverOpened(Epoch, 0, IsHome: true, []), home);
        Replica.Tell(new HandoverOpened(Epoch, 1, IsHome: false, []), guest);

        Replica.Tell(new ServeNow(Epoch, HomeMayCome: true), TestActor);
        await LoadAsync();
        Replica.Tell(new SequencesHandedOver(Epoch, 0, [], IsLast: true), home);
        // The guest does not come, and is not waited for.
        Replica.Tell(new ServeNow(Epoch, HomeMayCome: true), TestActor);

        await ServesAsync();
    }

    [Fact]
    public async Task Replica_that_waits_too_long_for_its_home_is_lost()
    {
        Start(new ReplicaSettings { HandoverMax = TimeSpan.FromSeconds(5) }, expects: [0, 1]);
        var (home, guest) = (CreateTestProbe(), CreateTestProbe());
        Replica.Tell(new HandoverOpened(Epoch, 0, IsHome: true, []), home);
        Replica.Tell(new HandoverOpened(Epoch, 1, IsHome: false, []), guest);
        Replica.Tell(new SequencesHandedOver(Epoch, 1, [], IsLast: true), guest);
        await LoadAsync();   // it has set its timer

        Advance(seconds: 5);

        await Parent.FishForMessageAsync<ReplicaControlProtocol.ReplicaLost>(_ => true, cancellationToken: Cancel);
    }

    [Fact]
    public async Task Replica_serves_without_a_guest_that_does_not_come()
    {
        Start(expects: [0, 1]);
        var home = CreateTestProbe();
        Replica.Tell(new HandoverOpened(Epoch, 0, IsHome: true, []), home);
        Replica.Tell(new SequencesHandedOver(Epoch, 0, [], IsLast: true), home);

        Replica.Tell(new ServeNow(Epoch, HomeMayCome: false), TestActor);

        Assert.Equal(0, (await ServesAsync()).Sequences);
    }

    [Fact]
    public async Task Handed_sequence_goes_on_from_its_pages_and_its_entity_hears_from_whom()
    {
        Start(expects: [0]);
        var home = CreateTestProbe();
        var request = Request("a", promptTokens: 20, tokensMax: 9);
        Replica.Tell(new HandoverOpened(Epoch, 0, IsHome: true, []), home);
        Replica.Tell(new SequencesHandedOver(Epoch, 0, [Handed(request, 1, 3, 4)], IsLast: true), home);
        var copy = await Parent.ExpectMsgAsync<CopyPages>(cancellationToken: Cancel);
        Assert.True(copy.Urgent);

        Replica.Tell(new PagesCopied(Epoch, copy.Job, 64), Parent);

        var serves = await ServesAsync();
        Assert.Equal((1, 0L, 64L), (serves.Sequences, serves.TokensRecomputed, serves.Bytes));
        var next = await TokensAsync(Entity);
        Assert.Equal((1, 0), (next.FirstIndex, next.Tokens.Length));
        await Pipeline.WaitForStepAsync(Cancel);
        Assert.Equal(1, (await LoadAsync()).Running);
    }

    [Fact]
    public async Task Pages_that_a_late_copy_still_writes_to_are_nobodys_until_it_is_over()
    {
        Start(expects: [0]);
        var home = CreateTestProbe();
        Replica.Tell(new HandoverOpened(Epoch, 0, IsHome: true, []), home);
        Replica.Tell(
            new SequencesHandedOver(Epoch, 0, [Handed(Request("a", 20, 9), 1, 3, 4)], IsLast: true), home);
        var copy = await Parent.ExpectMsgAsync<CopyPages>(cancellationToken: Cancel);

        Replica.Tell(new ServeNow(Epoch, HomeMayCome: false), TestActor);
        await Parent.ExpectMsgAsync(new CancelCopies(Epoch), cancellationToken: Cancel);
        Assert.Equal(20, (await ServesAsync()).TokensRecomputed);
        await Pipeline.WaitForStepAsync(Cancel);
        var whileItCopies = (await LoadAsync()).FreePages;
        Replica.Tell(new PagesCopied(Epoch, copy.Job, 64), Parent);

        // Two are the copy's, two the request's, which is computed anew.
        Assert.Equal(Limits.PageCount - 4, whileItCopies);
        Assert.Equal(Limits.PageCount - 2, (await LoadAsync()).FreePages);
    }

    [Fact]
    public async Task Requests_that_come_early_are_taken_once_it_serves()
    {
        Start(expects: [0]);
        var home = CreateTestProbe();
        Submit(Request("early", 4, 3), Entity);
        Replica.Tell(new HandoverOpened(Epoch, 0, IsHome: true, []), home);
        Replica.Tell(new SequencesHandedOver(Epoch, 0, [], IsLast: true), home);
        await ServesAsync();

        await Pipeline.StepAsync(Cancel);

        Assert.Equal(0, (await TokensAsync(Entity)).FirstIndex);
    }

    [Fact]
    public async Task Home_that_died_is_waited_for_no_more()
    {
        Start(expects: [0]);
        var home = CreateTestProbe();
        Replica.Tell(new HandoverOpened(Epoch, 0, IsHome: true, []), home);
        await LoadAsync();

        Sys.Stop(home.Ref);

        await ServesAsync();
    }

    private async Task<ReplicaServes> ServesAsync() =>
        await Parent.FishForMessageAsync<ReplicaServes>(_ => true, cancellationToken: Cancel);

    /// <summary>A sequence with all its tokens but the last in pages.</summary>
    private HandedSequence Handed(GenerationRequest request, int generated, params int[] pages) => new(
        request.Id,
        request.Spec,
        [.. Enumerable.Range(0, generated)],
        request.Spec.Prompt.Length + generated - 1,
        0,
        [.. pages],
        Entity.Ref);
}
