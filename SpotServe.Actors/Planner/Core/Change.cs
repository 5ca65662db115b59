using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Planner;

/// <summary>One change of layout on its way, and what its line in the timeline will say.</summary>
/// <param name="Before">The epoch that serves while this one gets ready, if one does.</param>
/// <param name="From">Degrees that served last.</param>
internal sealed record Change(
    Epoch Epoch,
    LayoutDecision Decision,
    ServingEpoch? Before,
    LayoutDegrees? From,
    Cause Cause,
    DateTimeOffset StartedAt)
{
    private ImmutableDictionary<DeviceId, LoadProgress> _loaded = ImmutableDictionary<DeviceId, LoadProgress>.Empty;
    private ImmutableList<ReconfigurationPhase> _phases = [];
    private (PlannerPhase Name, DateTimeOffset At)? _phase;
    private DateTimeOffset? _stoppedAt;
    private TimeSpan? _pause;
    private long _pageBytes;
    private long _tokensRecomputed;
    private int _sequences;
    private int _notHandedOver;

    public Layout Layout => Decision.Layout;

    public ImmutableArray<DeviceProgress> Progress =>
    [
        .. Layout.Placement.Where(_loaded.ContainsKey).Select(device => new DeviceProgress(
            device, Layout.PositionOf(device), _loaded[device].LoadedBytes, _loaded[device].TotalBytes)),
    ];

    /// <summary>Ends the phase that it was in.</summary>
    public Change Enter(PlannerPhase phase, DateTimeOffset now) => this with
    {
        _phases = PhasesUntil(now),
        _phase = (phase, now),
    };

    /// <summary>Whether the device has more by now than it was known to have.</summary>
    public bool IsProgress(DeviceId device, LoadProgress progress) =>
        !_loaded.TryGetValue(device, out var known) || progress.LoadedBytes > known.LoadedBytes;

    public Change Loading(DeviceId device, LoadProgress progress) =>
        this with { _loaded = _loaded.SetItem(device, progress) };

    /// <summary>The order to stop was given, or the last replica lost.</summary>
    public Change Stopping(DateTimeOffset now) => this with { _stoppedAt = _stoppedAt ?? now };

    /// <summary>A new replica serves with what was handed to it.</summary>
    public Change Serves(HandoverProtocol.ReplicaServes serves) => this with
    {
        _sequences = _sequences + serves.Sequences,
        _notHandedOver = _notHandedOver + serves.NotHandedOver,
        _tokensRecomputed = _tokensRecomputed + serves.TokensRecomputed,
        _pageBytes = _pageBytes + serves.Bytes,
    };

    public Change AllServe(DateTimeOffset now) => this with { _pause = now - _stoppedAt };

    public ReconfigurationRecord Record(string outcome, DateTimeOffset now)
    {
        var reused = _loaded.Values.Sum(progress => progress.ReusedBytes);
        var peers = _loaded.Values.Sum(progress => progress.PeerBytes);
        var all = _loaded.Values.Sum(progress => progress.LoadedBytes);
        return new ReconfigurationRecord(
            Epoch, Cause.ToString(), StartedAt, From, Layout.Degrees, [.. PhasesUntil(now)],
            new WeightSources(reused, peers, all - reused - peers), _pageBytes, _pause, _sequences,
            _tokensRecomputed, outcome)
        {
            NotHandedOver = _notHandedOver,
            Gone = Cause.Gone,
        };
    }

    private ImmutableList<ReconfigurationPhase> PhasesUntil(DateTimeOffset now) => _phase is { } phase
        ? _phases.Add(new ReconfigurationPhase(phase.Name.ToString(), phase.At - StartedAt, now - phase.At))
        : _phases;
}
