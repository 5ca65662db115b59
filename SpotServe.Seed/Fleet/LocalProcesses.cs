using System.Collections.Immutable;
using System.Globalization;
using SpotServe.Actors.Fleet;

namespace SpotServe.Seed.Fleet;

/// <summary>How one node process is started.</summary>
/// <param name="Arguments">All that every process is told; what belongs to one machine is added.</param>
/// <param name="OnStart">Called before a process that replaces another, or is added, starts.</param>
internal sealed record LocalLaunch(
    LocalFleet Fleet, IReadOnlyList<string> Arguments, Action OnStart, Action<LocalNode> OnStarted);

/// <summary>
/// The one command's cloud: machines are node processes here, with a made-up price and the time that a cloud takes to
/// start a machine. They end with this process, so each run is a cluster of its own.
/// </summary>
internal sealed class LocalProcesses(TimeSpan launchDelay, TimeProvider clock) : ICloud
{
    public const string InstanceType = "process";

    /// <summary>What a cloud takes to start a machine, for those who watch.</summary>
    public static readonly TimeSpan LaunchDelay = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Machine> _machines = [];
    private readonly TaskCompletionSource<LocalLaunch> _launch =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    public static MachinePool Spot { get; } = new(InstanceType, "", IsSpot: true);

    public static MachinePool OnDemand { get; } = new(InstanceType, "", IsSpot: false);

    public string Name => "this machine";

    /// <summary>As the prices of clouds are to each other.</summary>
    private static ImmutableArray<PoolPrice> Prices => [new(Spot, 0.3), new(OnDemand, 1)];

    /// <summary>Limits that fit processes: they start in seconds, and lists cost nothing.</summary>
    /// <param name="cluster">Name of this run.</param>
    public static FleetLimits Limits(string cluster, int nodes, int spares) => new()
    {
        Cluster = cluster,
        Pools = [Spot, OnDemand],
        MachinesMin = nodes,
        MachinesMax = LocalFleetOptions.NodesMax,
        FollowsLoad = false,
        Spares = Math.Min(spares, LocalFleetOptions.NodesMax),
        ListEvery = TimeSpan.FromSeconds(1),
        ListLag = TimeSpan.FromSeconds(20),
        BackOffMin = TimeSpan.FromSeconds(5),
        JoinMax = TimeSpan.FromMinutes(5),
        DrainMax = TimeSpan.FromSeconds(30),
    };

    /// <summary>From now on processes can be started; those of the beginning are, without the wait for a
    /// cloud.</summary>
    /// <exception cref="InvalidOperationException">One cannot be started.</exception>
    public void Begin(LocalLaunch launch, int nodes)
    {
        for (var number = 1; number <= nodes; number++)
        {
            var id = FormattableString.Invariant($"local-first-{number}");
            lock (_lock) _machines.Add(id, new Machine(Spot, null));
            Start(launch, id, Spot);
        }

        _launch.SetResult(launch);
    }

    public async Task<LaunchOutcome> LaunchAsync(LaunchOrder order, CancellationToken cancel)
    {
        var launch = await _launch.Task.WaitAsync(cancel).ConfigureAwait(false);
        lock (_lock)
        {
            if (_machines.ContainsKey(order.Token)) return new LaunchOutcome.Launched(order.Token);
            if (_machines.Count >= LocalFleetOptions.NodesMax)
                return new LaunchOutcome.Refused($"{_machines.Count} processes run already.");
            _machines.Add(order.Token, new Machine(order.Pool, null));
        }

        _ = StartLaterAsync(launch, order);
        return new LaunchOutcome.Launched(order.Token);
    }

    public Task TerminateAsync(string machine, CancellationToken cancel)
    {
        lock (_lock)
        {
            if (!_machines.TryGetValue(machine, out var there)) return Task.CompletedTask;
            if (there.Process is null) _machines.Remove(machine);
            else _ = there.Process.EndAsync(clock);
        }

        return Task.CompletedTask;
    }

    public async Task<ImmutableArray<CloudMachine>> ListAsync(string cluster, CancellationToken cancel)
    {
        await _launch.Task.WaitAsync(cancel).ConfigureAwait(false);
        lock (_lock)
        {
            return
            [
                .. _machines.Select(machine => new CloudMachine(
                    machine.Key, machine.Key, machine.Value.Pool,
                    machine.Value.Process is null ? MachineStatus.Starting : MachineStatus.Running, "")),
            ];
        }
    }

    public Task<ImmutableArray<PoolPrice>> PricesAsync(
        ImmutableArray<MachinePool> pools, CancellationToken cancel) => Task.FromResult(Prices);

    private async Task StartLaterAsync(LocalLaunch launch, LaunchOrder order)
    {
        using var timer = new PeriodicTimer(launchDelay, clock);
        await timer.WaitForNextTickAsync().ConfigureAwait(false);
        lock (_lock)
        {
            if (!_machines.ContainsKey(order.Token)) return;   // It was given back meanwhile.
        }

        launch.OnStart();
        try
        {
            Start(launch, order.Token, order.Pool);
        }
        catch (InvalidOperationException)
        {
            // It is not listed any more, as a machine that failed to boot; the fleet's lines say that it went.
            lock (_lock) _machines.Remove(order.Token);
        }
    }

    private void Start(LocalLaunch launch, string id, MachinePool pool)
    {
        var price = Prices.First(one => one.Pool == pool).PricePerHour.ToString(CultureInfo.InvariantCulture);
        var process = launch.Fleet.Start(
        [
            .. launch.Arguments,
            "--instance-type", pool.InstanceType, "--instance-id", id, "--price", price,
            pool.IsSpot ? "--spot" : "--on-demand",
        ]);
        lock (_lock) _machines[id] = new Machine(pool, process);
        launch.OnStarted(process);
        _ = ForgetAsync(id, process);
    }

    private async Task ForgetAsync(string id, LocalNode process)
    {
        await process.Exited.ConfigureAwait(false);
        lock (_lock) _machines.Remove(id);
    }

    /// <param name="Process">Null until it starts.</param>
    private sealed record Machine(MachinePool Pool, LocalNode? Process);
}
