using CsCheck;
using SpotServe.Actors.DataPlane;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class PulseMonitorTests
{
    private static readonly HeartbeatOptions Options = new();
    private static readonly TimeSpan Interval = Options.Interval;
    private readonly PulseMonitor<string> _monitor = new(Options);
    private TimeSpan _now;

    [Fact]
    public void Peer_is_lost_once_and_within_the_limit_when_it_falls_silent()
    {
        _monitor.Add("a", _now);
        _monitor.Add("b", _now);
        for (var i = 0; i < 20; i++) Assert.Empty(Tick("a", "b"));

        var lost = Enumerable.Range(0, 20).Select(_ => Tick("a")).ToList();

        var at = lost.FindIndex(tick => tick.Count > 0) + 1;
        Assert.Equal(Options.LostAfter, at * Interval);
        Assert.Equal("b", Assert.Single(lost.SelectMany(tick => tick)).Peer);
    }

    [Fact]
    public void Nobody_is_accused_when_this_process_was_stopped_itself()
    {
        _monitor.Add("a", _now);
        _monitor.Add("never came", _now);
        for (var i = 0; i < 5; i++) Assert.Empty(Tick("a"));

        _now += TimeSpan.FromMinutes(10);
        for (var i = 0; i < 4; i++) Assert.Empty(Tick());

        Assert.Equal("a", Assert.Single(Tick()).Peer);
    }

    [Fact]
    public void Nobody_that_beats_is_ever_accused_however_this_process_is_scheduled() =>
        Gen.Int[1, 3_000].Array[1, 60].Sample(gaps =>
        {
            var monitor = new PulseMonitor<string>(Options);
            var now = TimeSpan.Zero;
            monitor.Add("a", now);
            foreach (var gap in gaps)
            {
                now += TimeSpan.FromMilliseconds(gap);
                // Its beats arrived meanwhile, the newest at most an interval ago; they are read before judging.
                monitor.Beat("a", 1, now);
                Assert.Empty(monitor.Check(now));
            }
        });

    [Fact]
    public void Peer_that_starves_for_three_intervals_is_not_accused_however_this_process_is_scheduled() =>
        Gen.Select(Gen.Int[0, 300].Array[50], Gen.Int[0, 1_500].Array[200]).Sample((starved, late) =>
        {
            // The peer's beats come an interval apart, each up to 300 ms late; checks come up to 1.5 s late.
            var monitor = new PulseMonitor<string>(Options);
            monitor.Add("a", TimeSpan.Zero);
            monitor.Beat("a", 1, TimeSpan.Zero);
            var arrivals = new Queue<TimeSpan>(starved.Aggregate(
                new List<TimeSpan> { TimeSpan.Zero },
                (list, ms) => [.. list, list[^1] + Interval + TimeSpan.FromMilliseconds(ms)]));
            var now = TimeSpan.Zero;
            foreach (var ms in late)
            {
                now += TimeSpan.FromMilliseconds(ms + 1);
                if (now >= arrivals.Last()) return;
                var arrived = false;
                while (arrivals.Peek() <= now)
                {
                    arrivals.Dequeue();
                    arrived = true;
                }

                if (arrived) monitor.Beat("a", 1, now);
                Assert.Empty(monitor.Check(now));
            }
        });

    [Fact]
    public void Silent_peer_is_found_after_as_many_checks_as_intervals_make_the_limit_however_late_they_are() =>
        Gen.Int[100, 5_000].Array[5].Sample(gaps =>
        {
            var monitor = new PulseMonitor<string>(Options);
            monitor.Add("a", TimeSpan.Zero);
            monitor.Beat("a", 1, TimeSpan.Zero);
            var now = TimeSpan.Zero;
            var lost = gaps.SelectMany(gap => monitor.Check(now += TimeSpan.FromMilliseconds(gap))).ToList();

            Assert.Equal(
                $"no heartbeat came for {gaps.Sum()} ms", Assert.Single(lost).Reason);
        });

    [Fact]
    public void Beats_that_were_read_after_the_instant_of_judging_count()
    {
        _monitor.Add("a", _now);
        Assert.Empty(Tick("a"));

        for (var i = 0; i < 20; i++)
        {
            var judgedAt = _now += TimeSpan.FromMilliseconds(450);
            _monitor.Beat("a", 1, judgedAt + TimeSpan.FromMilliseconds(400));
            Assert.Empty(_monitor.Check(judgedAt));
        }
    }

    [Fact]
    public void Silence_counts_from_the_first_beat_or_when_connecting_took_too_long()
    {
        _monitor.Add("late", _now);
        _monitor.Add("never", _now);
        var ticks = (int)(Options.ConnectTimeout / Interval);
        for (var i = 0; i < ticks - 1; i++) Assert.Empty(i > 20 ? Tick("late") : Tick());

        var (peer, reason) = Assert.Single(Tick("late"));

        Assert.Equal("never", peer);
        Assert.Contains("within 5000 ms of connecting", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Closed_link_is_forgiven_when_it_is_back_in_time()
    {
        _monitor.Add("a", _now);
        Tick("a");
        _monitor.Closed("a");
        for (var i = 0; i < 4; i++) Assert.Empty(Tick());
        _monitor.Connected("a");
        Assert.Empty(Tick("a"));

        _monitor.Closed("a");
        for (var i = 0; i < 4; i++) Assert.Empty(Tick());
        Assert.Contains("closed", Assert.Single(Tick()).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Peer_is_lost_at_once_when_another_process_beats_in_its_place()
    {
        _monitor.Add("a", _now);
        Assert.Empty(Tick("a"));

        _monitor.Beat("a", incarnation: 2, _now);

        Assert.Contains("replaced", Assert.Single(Tick()).Reason, StringComparison.Ordinal);
    }

    private IReadOnlyList<(string Peer, string Reason)> Tick(params string[] beating)
    {
        _now += Interval;
        foreach (var peer in beating) _monitor.Beat(peer, 1, _now);
        return _monitor.Check(_now);
    }
}
