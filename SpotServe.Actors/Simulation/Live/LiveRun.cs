using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.Simulation;

/// <summary>A run of our own way to serve: the live planner's core, continuous batching, a queue that loses
/// nothing.</summary>
internal sealed class LiveRun
{
    /// <summary>A run that drains gives up after this.</summary>
    private const double DrainSecondsMax = 6 * 3600;

    private readonly LiveSetup _setup;
    private readonly VirtualTime _time = new();
    private readonly RequestDesk _desk;
    private readonly SortedDictionary<string, double> _since = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, double> _seconds = new(StringComparer.Ordinal);

    public LiveRun(LiveSetup setup)
    {
        _setup = setup;
        _desk = new RequestDesk(_time, setup);
    }

    private LiveCluster Cluster => _desk.Cluster;

    /// <param name="progress">Hears the time now and then; null for nobody.</param>
    public SimulationOutcome Run(
        Availability availability, IReadOnlyList<Arrival> arrivals, Action<double>? progress = null)
    {
        var requests = arrivals.TakeWhile(arrival => arrival.Seconds < availability.EndSeconds)
            .Select((arrival, index) => new SimulatedRequest(index, arrival))
            .ToArray();
        _desk.Expect(requests);
        foreach (var change in availability.Changes)
        {
            foreach (var machine in change.Removed)
            {
                var notice = _setup.OfferOf(machine).NoticeSeconds;
                if (notice > 0)
                {
                    _time.At(
                        Math.Max(0, change.Seconds - notice), () => Cluster.Notice(NodeOf(machine), change.Seconds));
                }
            }

            _time.At(change.Seconds, () => Apply(change));
        }

        _time.At(0, Cluster.Start);
        _time.RunUntil(availability.EndSeconds, progress);
        foreach (var machine in _since.Keys.ToList()) Leave(machine);
        while (_setup.Drains && _time.Now < availability.EndSeconds + DrainSecondsMax
            && requests.Any(request => request.CompletedAt is null)) _time.RunUntil(_time.Now + 60, progress);
        return Outcome(availability, requests);
    }

    private void Apply(FleetChange change)
    {
        foreach (var machine in change.Removed)
        {
            Leave(machine);
            Cluster.Lose(NodeOf(machine));
        }

        foreach (var machine in change.Added)
        {
            _since.Add(machine, _time.Now);
            Join(machine);
        }
    }

    private static string NodeOf(string machine) => machine + "#1";

    private void Join(string machine)
    {
        var offer = _setup.OfferOf(machine);
        var speed = new DeviceSpeed(
            offer.Kind.Name, offer.Kind.WeightBytesPerSecond, offer.Kind.FlopsPerSecond,
            offer.Kind.LayerOverheadSeconds);
        var node = new NodeInfo(NodeOf(machine), "simulated:0",
            [.. Enumerable.Range(0, offer.Devices)
                .Select(i => new DeviceInfo(i, offer.Kind.Name, offer.Kind.MemoryBytes) { Speed = speed })])
        {
            Machine = new MachineInfo(offer.Kind.Name, offer.PricePerHour, offer.IsSpot, offer.Name),
        };
        Cluster.Join(node, offer.Kind);
    }

    private void Leave(string machine)
    {
        if (!_since.Remove(machine, out var since)) return;
        var offer = _setup.OfferOf(machine).Name;
        _seconds[offer] = _seconds.GetValueOrDefault(offer) + _time.Now - since;
    }

    private SimulationOutcome Outcome(Availability availability, SimulatedRequest[] requests)
    {
        var done = requests.Where(request => request.CompletedAt is not null).ToList();
        var prices = availability.Changes.SelectMany(change => change.Added).Select(_setup.OfferOf)
            .DistinctBy(offer => offer.Name).ToDictionary(offer => offer.Name, offer => offer.PricePerHour);
        return new SimulationOutcome(
            _setup.Policy,
            availability.EndSeconds,
            requests.Length,
            [.. done.Select(request => new CompletedRequest(request.ArrivedAt, request.CompletedAt!.Value))],
            done.Sum(request => (long)request.OutputTokens),
            requests.Sum(request => request.RecomputedTokens),
            [.. Cluster.Record.Reconfigurations],
            [.. _seconds.Select(entry => new MachineHours(entry.Key, entry.Value / 3600, prices[entry.Key]))],
            _time.Handled);
    }
}
