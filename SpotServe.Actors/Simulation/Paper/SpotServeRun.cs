using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// The paper's SpotServe on our own controller, mapper, migration planner and arranger: at a notice it plans, decodes
/// for as long as the migration still fits, then stops, moves keys and values and weights, and goes on from the tokens
/// that were there.
/// </summary>
internal sealed class SpotServeRun(PaperModel model, PaperAssumptions assumed, SpotServeParts parts)
    : PaperRun(model, assumed)
{
    /// <summary>B is pinned in the artifact's runs.</summary>
    private const int BatchSize = 4;

    private readonly List<BatchReplica> _replicas = [];
    private LayoutDegrees? _shapeFixed;
    private Layout? _layout;
    private ImmutableArray<int> _pages = [];

    public override string Name => parts.ToString();

    protected override void Begin()
    {
        if (!parts.Controller)
        {
            var hosts = Enumerable.Range(0, 10).Select(i => FormattableString.Invariant($"host-{i}"));
            _shapeFixed = Search([.. hosts], Rate)!.Chosen.Degrees;
        }

        if (Choose(Machines, Rate) is { } search)
        {
            var plan = ReconfigurationPlanner.Plan(Inputs(search, Machines, [], [], 0, double.NaN));
            Serve(plan, Assumed.EngineRestartSeconds, CacheInheritance.None, []);
        }

        Note(_layout?.Degrees ?? default, "start", Assumed.EngineRestartSeconds, 0);
    }

    protected override void Announce(FleetChange change)
    {
        var machines = After(change);
        var search = Choose(machines, change.Rate ?? Rate);
        var stop = change.Seconds;
        if (search is not null && _layout is not null && IsNeeded(search, machines))
        {
            if (!parts.Arranger)
            {
                stop = Time.Now;
            }
            else
            {
                var left = change.Seconds - Time.Now;
                var caches = _replicas.Select((replica, i) => new ReplicaCache(
                    i, [.. replica.Running.Select(request => request.Cached)]));
                var plan = Plan(search, machines, change, [.. caches], left);
                var latest = change.Seconds - (change.Removed.IsEmpty ? 0 : plan.Migration.Duration.TotalSeconds);
                stop = plan.CutOver is CutOver.AfterSteps after
                    ? Time.Now + after.At.TotalSeconds
                    : Math.Max(Time.Now, latest);
            }

            if (!KeepsOld(search, change))
                foreach (var replica in _replicas) replica.StopsAt = Math.Min(replica.StopsAt, stop);
        }

        Time.At(stop, () => Change(change));
    }

    /// <summary>Only new replicas of the same shape are added: the old ones need not stop.</summary>
    private bool KeepsOld(SearchResult search, FleetChange change)
    {
        var next = search.Chosen.Degrees;
        return change.Removed.IsEmpty && _layout is { Degrees: var now } && now.Stages == next.Stages
            && now.Ranks == next.Ranks && now.Replicas <= next.Replicas;
    }

    private bool IsNeeded(SearchResult search, ImmutableList<string> machines) =>
        _layout is not { } layout || layout.Degrees != search.Chosen.Degrees
        || !layout.Placement.All(device => machines.Contains(device.Node));

    private SearchResult? Choose(ImmutableList<string> machines, double rate)
    {
        var found = Search(machines, rate);
        if (found is null) return null;
        if (_shapeFixed is not { } shape)
            return found with { Chosen = found.Chosen with { Degrees = Pinned(found.Chosen.Degrees) } };
        var replicas = machines.Count * PaperModel.DevicesEach / (shape.Stages * shape.Ranks);
        if (replicas == 0) return null;
        var search = new LayoutSearch(
            Geometry, Cost, SearchOptions.Paper(Model.Profile, Model.ReplicaDevicesMin));
        var chosen = search.Evaluate(
            [.. machines.Select(PaperMachine.Of)], PaperModel.Load(rate), shape with { Replicas = replicas });
        Invariant.Holds(chosen is not null);
        return found with { Chosen = chosen with { Degrees = Pinned(chosen.Degrees) } };
    }

    private static LayoutDegrees Pinned(LayoutDegrees degrees) => degrees with { BatchSize = BatchSize };

    private void Change(FleetChange change)
    {
        var before = Machines;
        Apply(change);
        var search = Choose(Machines, Rate);
        if (search is null)
        {
            foreach (var request in _replicas.SelectMany(CloseForGood)) Service.Requeue([request]);
            _replicas.Clear();
            if (_layout is not null) Note(default, CauseOf(change), 0, 0);
            _layout = null;
            return;
        }

        if (!IsNeeded(search, Machines)) return;
        if (_layout is not null && KeepsOld(search, change)) Extend(search, change);
        else Restart(search, change);
        Invariant.Holds(before.Count + change.Added.Length - change.Removed.Length == Machines.Count);
    }

    /// <summary>New replicas start beside the old ones.</summary>
    private void Extend(SearchResult search, FleetChange change)
    {
        var old = _layout!.Degrees.Replicas;
        var plan = Plan(search, Machines, change, [], 0);
        var wait = Down(plan.Migration) + Math.Max(0, change.Seconds - Time.Now);
        (_layout, _pages) = (plan.Layout, plan.Pages.Counts);
        for (var i = old; i < _layout.Degrees.Replicas; i++) OpenReplica(Time.Now + wait, []);
        Note(_layout.Degrees, CauseOf(change), wait, plan.Migration.Moved.Total);
    }

    private void Restart(SearchResult search, FleetChange change)
    {
        var caches = new List<ReplicaCache>();
        var running = new Dictionary<string, SimulatedRequest>(StringComparer.Ordinal);
        for (var i = 0; i < _replicas.Count; i++)
        {
            var (broken, hadCache) = Service.Close(_replicas[i]);
            if (!hadCache || !parts.Arranger)
            {
                foreach (var request in broken) request.StartOver(hadCache);
                Service.Requeue(broken);
                continue;
            }

            caches.Add(new ReplicaCache(i, [.. broken.Select(request => request.Cached)]));
            foreach (var request in broken) running.Add(request.Cached.Id.Value, request);
        }

        var plan = Plan(search, Machines, change, [.. caches], change.Seconds - Time.Now);
        var lost = plan.Inherited.Dropped.Select(cached => running[cached.Id.Value]).ToList();
        if (plan.Migration.CacheGivenUp) lost = [.. running.Values];
        foreach (var request in lost) request.StartOver(prefilled: true);
        Service.Requeue(lost);
        var wait = _layout is null
            ? Assumed.EngineRestartSeconds + LoadSeconds(search.Chosen.Degrees.Stages, search.Chosen.Degrees.Ranks)
            : Down(plan.Migration);
        // What comes with new machines serves when they are there, whenever the old layout stopped.
        if (change.Added.Length > 0) wait += Math.Max(0, change.Seconds - Time.Now);
        Serve(
            plan, Time.Now + wait,
            plan.Migration.CacheGivenUp ? CacheInheritance.None : plan.Inherited, running);
        Note(plan.Layout.Degrees, CauseOf(change), wait, plan.Migration.Moved.Total);
    }

    /// <summary>How long what stops serves nothing.</summary>
    private double Down(MigrationPlan migration)
    {
        var moves = migration.Duration.TotalSeconds;
        return parts.MigrationPlanner
            ? Math.Max(Assumed.EngineRestartSeconds, moves)
            : Assumed.EngineRestartSeconds + Assumed.HolderRestartSeconds + moves;
    }

    private void Serve(
        Reconfiguration plan,
        double readyAt,
        CacheInheritance inherited,
        Dictionary<string, SimulatedRequest> running)
    {
        (_layout, _pages) = (plan.Layout, plan.Pages.Counts);
        _replicas.Clear();
        for (var i = 0; i < _layout.Degrees.Replicas; i++)
        {
            OpenReplica(readyAt, [.. inherited.Kept.Where(kept => kept.NewReplica == i)
                .SelectMany(kept => kept.Requests).Select(request => running[request.Id.Value])]);
        }

        Service.Dispatch();
    }

    private void OpenReplica(double readyAt, List<SimulatedRequest> inherited)
    {
        var replica = NewReplica(_layout!.Degrees.Stages, _layout.Degrees.Ranks, BatchSize, readyAt);
        _replicas.Add(replica);
        Service.Open(replica, inherited);
    }

    private List<SimulatedRequest> CloseForGood(BatchReplica replica)
    {
        var (broken, hadCache) = Service.Close(replica);
        foreach (var request in broken) request.StartOver(hadCache);
        return broken;
    }

    private Reconfiguration Plan(
        SearchResult search,
        ImmutableList<string> machines,
        FleetChange change,
        ImmutableArray<ReplicaCache> caches,
        double left)
    {
        var inputs = Inputs(
            search, machines, change.Removed, caches, left, change.Removed.IsEmpty ? left : double.NaN);
        var plan = ReconfigurationPlanner.Plan(inputs);
        return parts.Mapper ? plan : InOrder(plan, inputs, machines);
    }

    /// <summary>Without the mapper devices get positions in the order of their machines, whatever they hold.</summary>
    private Reconfiguration InOrder(Reconfiguration plan, PlanningInputs inputs, ImmutableList<string> machines)
    {
        var layout = LayoutAssembly.InOrder(
            plan.Layout.Degrees, Geometry.Model.LayerCount,
            [.. machines.SelectMany(machine => PaperMachine.Of(machine).Devices)]);
        var migration = MigrationPlanner.Plan(
            new MigrationProblem(Geometry, layout, inputs.Holdings, plan.Inherited, inputs.Links)
            {
                Caches = inputs.Caches,
                Leaving = inputs.Leaving,
                CopyWhileServing = false,
                CutOverOverhead = inputs.CutOverOverhead,
            });
        return plan with { Mapping = plan.Mapping with { Layout = layout }, Migration = migration };
    }

    /// <summary>What the one decision takes, with the degrees that the paper's controller chose.</summary>
    private PlanningInputs Inputs(
        SearchResult search,
        ImmutableList<string> machines,
        ImmutableArray<string> leaving,
        ImmutableArray<ReplicaCache> caches,
        double left,
        double joinsIn)
    {
        var degrees = _layout?.Degrees ?? search.Chosen.Degrees;
        var step = CostOf(degrees.Stages, degrees.Ranks, BatchSize).Step;
        return new PlanningInputs(
            Geometry.Model, [.. machines.Select(PaperMachine.Of)], PaperModel.Load(Rate),
            LinkRates.Paper with { Disk = Assumed.StorageBytesPerSecond })
        {
            Profile = Model.Profile,
            Wanted = search.Chosen.Degrees,
            SequencesMax = BatchSize,
            Serving = _layout is null ? null : new ServingLayout(_layout, _pages),
            Holdings = _layout is { } layout ? Holding.All(Geometry, layout) : [],
            Caches = caches,
            Leaving = leaving.ToImmutableDictionary(node => node, _ => TimeSpan.FromSeconds(Math.Max(0, left))),
            JoinIn = double.IsNaN(joinsIn) ? null : TimeSpan.FromSeconds(Math.Max(0, joinsIn)),
            DiskNodes = _layout is null ? [.. machines] : [],
            Mode = MigrationMode.StopThenMigrate,
            CutOverOverhead = TimeSpan.FromSeconds(Assumed.MigrationOverheadSeconds),
            Clock = new StepClock(step, step),
        };
    }
}
