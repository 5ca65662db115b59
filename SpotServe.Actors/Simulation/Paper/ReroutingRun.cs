namespace SpotServe.Actors.Simulation;

/// <summary>
/// The paper's Rerouting: pipelines of one fixed shape, solved once for ten machines. One that loses a machine is gone
/// with what it was doing, whose requests start over on the others; new pipelines load from storage.
/// </summary>
internal sealed class ReroutingRun(PaperModel model, PaperAssumptions assumed) : PaperRun(model, assumed)
{
    /// <summary>Machines in the artifact's host file.</summary>
    private const int MachinesSolvedFor = 10;

    private readonly List<(BatchReplica Replica, List<string> Machines)> _pipelines = [];
    private LayoutDegrees _shape;

    public override string Name => "Rerouting";

    private int MachinesEach => Math.Max(1, _shape.Stages * _shape.Ranks / PaperModel.DevicesEach);

    protected override void Begin()
    {
        var fleet = Enumerable.Range(0, MachinesSolvedFor).Select(i => FormattableString.Invariant($"host-{i}"));
        _shape = Search([.. fleet], Rate)!.Chosen.Degrees;
        Invariant.Holds(_shape.Stages * _shape.Ranks % PaperModel.DevicesEach == 0);
        OpenPipelines(Assumed.EngineRestartSeconds);
        Note(Degrees, "start", Assumed.EngineRestartSeconds, 0);
    }

    protected override void Announce(FleetChange change)
    {
        var lost = _pipelines.Where(pipeline => pipeline.Machines.Intersect(change.Removed).Any()).ToList();
        if (change.Removed.IsEmpty)
        {
            Time.At(change.Seconds, () => Change(change));
            return;
        }

        var stop = Math.Max(Time.Now, change.Seconds - Assumed.MigrationOverheadSeconds);
        foreach (var (replica, _) in lost) replica.StopsAt = stop;
        Time.At(stop, () => Change(change));
    }

    private LayoutDegrees Degrees => _shape with { Replicas = _pipelines.Count };

    private void Change(FleetChange change)
    {
        Apply(change);
        var lost = _pipelines.Where(pipeline => pipeline.Machines.Intersect(change.Removed).Any()).ToList();
        foreach (var pipeline in lost)
        {
            var (broken, hadCache) = Service.Close(pipeline.Replica);
            foreach (var request in broken) request.StartOver(hadCache);
            Service.Requeue(broken);
            _pipelines.Remove(pipeline);
        }

        var wait = Assumed.EngineRestartSeconds + LoadSeconds(_shape.Stages, _shape.Ranks);
        var opened = OpenPipelines(Time.Now + wait);
        Service.Dispatch();
        if (opened + lost.Count == 0) return;
        Note(Degrees, CauseOf(change), opened > 0 ? wait : 0, opened * Geometry.WeightBytes);
    }

    /// <summary>Makes pipelines of the machines that are in none, in the order in which they came.</summary>
    private int OpenPipelines(double readyAt)
    {
        var free = Machines.Except(_pipelines.SelectMany(pipeline => pipeline.Machines)).ToList();
        var opened = 0;
        for (; free.Count >= MachinesEach; opened++)
        {
            var replica = NewReplica(_shape.Stages, _shape.Ranks, _shape.BatchSize, readyAt);
            _pipelines.Add((replica, free[..MachinesEach]));
            free.RemoveRange(0, MachinesEach);
            Service.Open(replica, []);
        }

        return opened;
    }
}
