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
        Assert.Empty(Tick());

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
