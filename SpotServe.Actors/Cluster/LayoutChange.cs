using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>One reconfiguration on its way: what is awaited from whom, and its timeline.</summary>
/// <param name="before">The epoch that serves while this one gets ready, if one does.</param>
/// <param name="from">Degrees that served last.</param>
internal sealed class LayoutChange(
    Epoch epoch,
    LayoutDecision decision,
    ServingEpoch? before,
    LayoutDegrees? from,
    string cause,
    DateTimeOffset startedAt)
{
    private readonly Dictionary<DeviceId, LoadProgress> _loaded = [];
    private readonly List<ReconfigurationPhase> _phases = [];
    private DateTimeOffset _phaseAt;
    private string? _phase;
    private DateTimeOffset? _stoppedAt;
    private TimeSpan? _pause;
    private long _pageBytes;
    private long _tokensRecomputed;
    private int _sequences;

    public Epoch Epoch => epoch;

    public LayoutDecision Decision => decision;

    public Layout Layout => decision.Layout;

    public ServingEpoch? Before => before;

    /// <summary>Devices that have not reported the end of what they were told last.</summary>
    public HashSet<DeviceId> WaitingFor { get; } = [];

    /// <summary>Leaders' actors of the new epoch.</summary>
    public Dictionary<int, IActorRef> Replicas { get; } = [];

    /// <summary>Old replicas that have not said that their full pages are over.</summary>
    public HashSet<int> HandingOver { get; } = [];

    /// <summary>New replicas that do not serve yet.</summary>
    public HashSet<int> NotServing { get; } = [];

    /// <summary>Set once all devices were told to connect.</summary>
    public bool IsConnecting { get; set; }

    /// <summary>Set once all devices are connected.</summary>
    public bool IsConnected { get; set; }

    /// <summary>Until when the present phase may take; then it goes on without what is missing, or is given
    /// up.</summary>
    public DateTimeOffset Limit { get; set; }

    public ImmutableArray<DeviceProgress> Progress =>
    [
        .. _loaded.Select(entry => new DeviceProgress(
            entry.Key, PositionOf(entry.Key), entry.Value.LoadedBytes, entry.Value.TotalBytes)),
    ];

    public Position PositionOf(DeviceId device) => Layout.PositionAt(Layout.Placement.IndexOf(device));

    public void Enter(string phase, DateTimeOffset now)
    {
        EndPhase(now);
        (_phase, _phaseAt) = (phase, now);
    }

    public void OnLoading(DeviceId device, LoadProgress progress) => _loaded[device] = progress;

    public void OnStopping(DateTimeOffset now) => _stoppedAt ??= now;

    public void OnServes(int sequences, long tokensRecomputed, long bytes)
    {
        _sequences += sequences;
        _tokensRecomputed += tokensRecomputed;
        _pageBytes += bytes;
    }

    public void OnAllServe(DateTimeOffset now)
    {
        if (_stoppedAt is { } stopped) _pause = now - stopped;
    }

    public ReconfigurationRecord Record(string outcome, DateTimeOffset now)
    {
        var phases = _phase is null
            ? _phases
            : [.. _phases, new ReconfigurationPhase(_phase, _phaseAt - startedAt, now - _phaseAt)];
        var reused = _loaded.Values.Sum(progress => progress.ReusedBytes);
        var peers = _loaded.Values.Sum(progress => progress.PeerBytes);
        var all = _loaded.Values.Sum(progress => progress.LoadedBytes);
        return new ReconfigurationRecord(
            epoch, cause, startedAt, from, Layout.Degrees, [.. phases],
            new WeightSources(reused, peers, all - reused - peers), _pageBytes, _pause, _sequences,
            _tokensRecomputed, outcome);
    }

    private void EndPhase(DateTimeOffset now)
    {
        if (_phase is null) return;
        _phases.Add(new ReconfigurationPhase(_phase, _phaseAt - startedAt, now - _phaseAt));
        _phase = null;
    }
}
