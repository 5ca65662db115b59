namespace SpotServe.Actors.DataPlane;

/// <summary>
/// Judges by their beats which peers are lost, without clock, threads or sockets: all instants are given, as time since
/// some origin. Between two checks at most one interval counts as silence: when the checks come late, this process is
/// the one that does not run. A peer is lost only after several checks in a row that found no beat. Not thread-safe.
/// </summary>
/// <typeparam name="TPeer">Names a peer.</typeparam>
internal sealed class PulseMonitor<TPeer>(HeartbeatOptions options) where TPeer : notnull
{
    private readonly Dictionary<TPeer, Pulse> _pulses = [];

    /// <summary>Begins to watch. Silence counts from the first beat on, which has its own limit.</summary>
    public void Add(TPeer peer, TimeSpan now) => _pulses.Add(peer, new Pulse(now));

    public void Remove(TPeer peer) => _pulses.Remove(peer);

    /// <param name="incarnation">Of the process that sent the beat: another one than before means that the peer's
    /// process ended, however fast its successor was.</param>
    public void Beat(TPeer peer, long incarnation, TimeSpan now)
    {
        if (!_pulses.TryGetValue(peer, out var pulse)) return;
        if (pulse.Incarnation is { } known && known != incarnation) pulse.Verdict = "its process was replaced";
        pulse.Incarnation ??= incarnation;
        pulse.Begin(now);
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

    /// <summary>To be called every interval, after the beats were counted that had arrived at that instant.</summary>
    /// <param name="now">Taken before the beats were read; may be before the last of them.</param>
    /// <returns>Peers that are lost, and why. They are forgotten: each is named once.</returns>
    public IReadOnlyList<(TPeer Peer, string Reason)> Check(TimeSpan now)
    {
        List<(TPeer, string)> lost = [];
        foreach (var (peer, pulse) in _pulses)
        {
            pulse.CountSilence(now, options.Interval);
            if (ReasonOf(pulse, now) is { } reason) lost.Add((peer, reason));
        }

        foreach (var (peer, _) in lost) _pulses.Remove(peer);
        return lost;
    }

    private string? ReasonOf(Pulse pulse, TimeSpan now)
    {
        if (pulse.Verdict is not null) return pulse.Verdict;
        if (pulse.Incarnation is null)
        {
            return pulse.Silence < options.ConnectTimeout
                ? null
                : $"no heartbeat came within {options.ConnectTimeout.TotalMilliseconds:0} ms of connecting";
        }

        if (pulse.Silence < options.LostAfter) return null;
        return pulse.IsClosed
            ? $"it closed its heartbeat link and was not back within {options.LostAfter.TotalMilliseconds:0} ms"
            : $"no heartbeat came for {(now - pulse.Since).TotalMilliseconds:0} ms";
    }

    private sealed class Pulse(TimeSpan begin)
    {
        private TimeSpan _countedTo = begin;

        /// <summary>Last beat; before the first, the begin of watching.</summary>
        public TimeSpan Since { get; private set; } = begin;

        /// <summary>Of the time since then, what counts.</summary>
        public TimeSpan Silence { get; private set; }

        /// <summary>Null before the first beat.</summary>
        public long? Incarnation { get; set; }

        public bool IsClosed { get; set; }

        public string? Verdict { get; set; }

        public void Begin(TimeSpan now) => (Since, Silence, _countedTo) = (now, TimeSpan.Zero, now);

        public void CountSilence(TimeSpan now, TimeSpan max)
        {
            if (now <= _countedTo) return;
            var gap = now - _countedTo;
            Silence += gap < max ? gap : max;
            _countedTo = now;
        }
    }
}
