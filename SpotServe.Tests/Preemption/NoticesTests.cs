using SpotServe.Actors.Cluster;
using SpotServe.Node.Preemption;
using Xunit;

namespace SpotServe.Tests.Preemption;

/// <summary>Whoever says that a machine goes, and however often: which deadline counts.</summary>
public sealed class NoticesTests
{
    private static readonly DateTimeOffset At = new(2026, 11, 26, 12, 0, 0, TimeSpan.Zero);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(60, false, 30, false, true)]
    [InlineData(30, false, 60, false, false)]
    [InlineData(30, false, 30, false, false)]
    [InlineData(30, true, 60, false, true)]   // an early hint does not hide the notice
    [InlineData(60, true, 30, true, true)]
    [InlineData(60, false, 30, true, false)]   // nor does a later hint
    public void Named_deadline_counts_more_than_a_guess_and_the_sooner_of_two_of_a_kind(
        int known, bool isKnownGuess, int next, bool isNextGuess, bool supersedes)
    {
        var before = new PreemptionNotice(At.AddSeconds(known), "file", isKnownGuess);
        var after = new PreemptionNotice(At.AddSeconds(next), "signal", isNextGuess);

        Assert.Equal(supersedes, after.Supersedes(before));
        Assert.True(after.Supersedes(null));
    }

    [Fact]
    public async Task All_sources_are_heard_to_the_end_and_each_listener_gets_what_counts()
    {
        var notices = new Notices();
        var given = new List<double>();
        await notices.ListenAsync(new Script(90, 60), Cancel);
        notices.GiveTo(notice => given.Add((notice.Deadline - At).TotalSeconds));

        await notices.ListenAsync(new Script(70, 20), Cancel);

        Assert.Equal([60, 20], given);
        Assert.Equal(At.AddSeconds(20), notices.Current!.Deadline);
    }

    [Fact]
    public async Task File_that_says_nothing_is_a_hint_until_it_says_by_when()
    {
        var path = Path.Combine(Path.GetTempPath(), $"spotserve-notice-{Guid.NewGuid():n}");
        var file = new NoticeFile(path, TimeSpan.FromSeconds(30), TimeProvider.System);
        try
        {
            await File.WriteAllTextAsync(path, "", Cancel);
            await using var notices = file.NoticesAsync(Cancel).GetAsyncEnumerator(Cancel);
            Assert.True(await notices.MoveNextAsync());
            var hint = notices.Current;

            await File.WriteAllTextAsync(path, "2126-01-01T00:00:00Z", Cancel);
            Assert.True(await notices.MoveNextAsync());

            Assert.True(hint.IsGuess);
            Assert.False(notices.Current.IsGuess);
            Assert.Equal(new DateTimeOffset(2126, 1, 1, 0, 0, 0, TimeSpan.Zero), notices.Current.Deadline);
            Assert.True(notices.Current.Supersedes(hint));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private sealed class Script(params int[] seconds) : INoticeSource
    {
        public async IAsyncEnumerable<PreemptionNotice> NoticesAsync(
            [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
        {
            foreach (var left in seconds)
            {
                await Task.Yield();
                cancel.ThrowIfCancellationRequested();
                yield return new PreemptionNotice(At.AddSeconds(left), "script");
            }
        }
    }
}
