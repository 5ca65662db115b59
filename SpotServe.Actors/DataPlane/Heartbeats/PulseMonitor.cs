namespace SpotServe.Actors.DataPlane;

/// <summary>
/// Judges by their beats which peers are lost, without clock, threads or sockets: all instants are given, as time since
/// some origin. Not thread-safe.
/// </summary>
/// <typeparam name="TPeer">Names a peer.</typeparam>
internal sealed class PulseMonitor<TPeer>(HeartbeatOptions options) where TPeer : notnull
{
    private readonly Dictionary<TPeer, Pulse> _pulses = [];
    private TimeSpan? _checkedAt;

    /// <summary>Begins to watch. Silence counts from the first beat on, which has its own limit.</summary>
    public void Add(TPeer peer, TimeSpan now) => _pulses.Add(peer, new Pulse { Since = now });

    public void Remove(TPeer peer) => _pulses.Remove(peer);

    /// <param name="incarnation">Of the process that sent the beat: another one than before means that the peer's
    /// process ended, however fast its successor was.</param>
    public void Beat(TPeer peer, long incarnation, TimeSpan now)
    {
        if (!_pulses.TryGetValue(peer, out var pulse)) return;
        if (pulse.Incarnation is { } known && known != incarnation) pulse.Verdict = "its process was replaced";
        pulse.Incarnation ??= incarnation;
        pulse.Since = now;
    }

    /// <summary>The connection to the peer closed. It has the limit for silence to come back.</summary>
    public void Closed(TPeer peer)
    {
        if (_pulses.TryGetValue(peer, out var pulse)) pulse.IsClosed = true;
    }

    public void Connected(TPeer peer)
    {
        if (_pulses.TryGetValue(peer, out var pulse)) pulse.IsClosed = false;
    }

    /// <summary>The peer is of no use, whatever its beats say.</summary>
    public void Condemn(TPeer peer, string reason)
    {
        if (_pulses.TryGetValue(peer, out var pulse)) pulse.Verdict ??= reason;
    }

    /// <summary>To be called every interval, after the beats that have arrived were counted.</summary>
    /// <returns>Peers that are lost, and why. They are forgotten: each is named once.</returns>
    public IReadOnlyList<(TPeer Peer, string Reason)> Check(TimeSpan now)
    {
        // This process did not run for a while (stopped, or starved): what it missed is no peer's fault.
        if (_checkedAt is { } last && now - last > options.Interval + (options.LostAfter / 2))
        {
            foreach (var pulse in _pulses.Values) pulse.Since = now;
        }

        _checkedAt = now;
        List<(TPeer, string)> lost = [];
        foreach (var (peer, pulse) in _pulses)
        {
            if (ReasonOf(pulse, now) is { } reason) lost.Add((peer, reason));
        }

        foreach (var (peer, _) in lost) _pulses.Remove(peer);
        return lost;
    }

    private string? ReasonOf(Pulse pulse, TimeSpan now)
    {
        if (pulse.Verdict is not null) return pulse.Verdict;
        var silence = now - pulse.Since;
        if (pulse.Incarnation is null)
        {
            return silence < options.ConnectTimeout
                ? null
                : $"no heartbeat came within {options.ConnectTimeout.TotalMilliseconds:0} ms of connecting";
        }

        if (silence < options.LostAfter) return null;
        return pulse.IsClosed
            ? $"it closed its heartbeat link and was not back within {options.LostAfter.TotalMilliseconds:0} ms"
            : $"no heartbeat came for {silence.TotalMilliseconds:0} ms";
    }

    private sealed class Pulse
    {
        /// <summary>Last beat; before the first, the begin of watching.</summary>
        public TimeSpan Since { get; set; }

        /// <summary>Null before the first beat.</summary>
        public long? Incarnation { get; set; }

        public bool IsClosed { get; set; }

        public string? Verdict { get; set; }
    }
}
