using System.Collections.Immutable;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// The paper's Reparallelization: the same controller, but every change stops and restarts everything, reloads the
/// weights from storage, and requests start over.
/// </summary>
internal sealed class ReparallelizationRun(PaperModel model, PaperAssumptions assumed) : PaperRun(model, assumed)
{
    /// <summary>B is pinned in the artifact's runs.</summary>
    private const int BatchSize = 4;

    private LayoutDegrees? _degrees;
    private ImmutableHashSet<string> _working = [];

    public override string Name => "Reparallelization";

    protected override void Begin()
    {
        Open(Assumed.EngineRestartSeconds);
        Note(_degrees ?? default, "start", Assumed.EngineRestartSeconds, 0);
    }

    protected override void Announce(FleetChange change)
    {
        var late = change.Removed.IsEmpty ? Assumed.MigrationOverheadSeconds : -Assumed.MigrationOverheadSeconds;
        var stop = Math.Max(Time.Now, change.Seconds + late);
        if (IsNeeded(After(change), change.Rate ?? Rate))
        {
            foreach (var replica in Service.Replicas) replica.StopsAt = Math.Min(replica.StopsAt, stop);
        }

        Time.At(stop, () => Change(change));
    }

    private bool IsNeeded(ImmutableList<string> machines, double rate) =>
        Degrees(machines, rate) != _degrees || !_working.All(machines.Contains);

    private LayoutDegrees? Degrees(ImmutableList<string> machines, double rate) =>
        Search(machines, rate) is { } found ? found.Chosen.Degrees with { BatchSize = BatchSize } : null;

    private void Change(FleetChange change)
    {
        Apply(change);
        if (!IsNeeded(Machines, Rate)) return;
        foreach (var replica in Service.Replicas.ToList())
        {
            var (broken, hadCache) = Service.Close(replica);
            foreach (var request in broken) request.StartOver(hadCache);
            Service.Requeue(broken);
        }

        var next = Degrees(Machines, Rate);
        var wait = next is { } degrees
            ? Assumed.EngineRestartSeconds + Assumed.HolderRestartSeconds
                + LoadSeconds(degrees.Stages, degrees.Ranks)
            : 0;
        Open(Time.Now + wait);
        Note(_degrees ?? default, CauseOf(change), wait, (_degrees?.Replicas ?? 0) * Geometry.WeightBytes);
    }

    private void Open(double readyAt)
    {
        _degrees = Degrees(Machines, Rate);
        _working = [];
        if (_degrees is not { } degrees) return;
        var count = (degrees.DeviceCount + PaperModel.DevicesEach - 1) / PaperModel.DevicesEach;
        _working = [.. Machines.Take(count)];
        for (var i = 0; i < degrees.Replicas; i++)
            Service.Open(NewReplica(degrees.Stages, degrees.Ranks, BatchSize, readyAt), []);
    }
}
