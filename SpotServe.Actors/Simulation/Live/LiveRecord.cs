using SpotServe.Actors.Cluster;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Simulation;

/// <summary>The changes of layout, from what the planner's core writes to its journal.</summary>
internal sealed class LiveRecord(VirtualTime time, SimulatedDevices devices)
{
    private readonly List<Reconfigured> _reconfigurations = [];
    private LayoutDecided? _decided;
    private double? _stoppedAt;
    private long _movedBefore;

    public IReadOnlyList<Reconfigured> Reconfigurations => _reconfigurations;

    /// <summary>The planner's decisions, in order, with the second of each.</summary>
    public List<(double Seconds, LayoutDecided Decided)> Decisions { get; } = [];

    /// <summary>The planner's own lines in its timeline.</summary>
    public List<ReconfigurationRecord> Timeline { get; } = [];

    /// <param name="lostAllAt">Since when nothing serves, if the last replica was lost.</param>
    public void Happened(IPlannerEvent happened, int machines, DateTimeOffset? lostAllAt)
    {
        switch (happened)
        {
            case LayoutDecided decided:
                _decided = decided;
                Decisions.Add((time.Now, decided));
                if (lostAllAt is { } lost) _stoppedAt = (lost - DateTimeOffset.UnixEpoch).TotalSeconds;
                break;
            case CutOverBegun:
                _stoppedAt ??= time.Now;
                break;
            case LayoutActivated activated when _decided is { } decided && decided.Epoch == activated.Epoch:
                var stopped = _stoppedAt ?? time.Now;
                _reconfigurations.Add(new Reconfigured(
                    stopped, machines, decided.Layout.Degrees, decided.Cause, time.Now - stopped,
                    devices.MovedBytes - _movedBefore));
                _movedBefore = devices.MovedBytes;
                _stoppedAt = null;
                break;
            case ReconfigurationEnded ended:
                Timeline.Add(ended.Record);
                break;
            default:
                break;
        }
    }
}
