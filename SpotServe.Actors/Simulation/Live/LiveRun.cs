using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Simulation;

/// <summary>A run of our own way to serve: the live planner's core, continuous batching, a queue that loses
/// nothing.</summary>
internal sealed class LiveRun
{
    /// <summary>Over which the rate of arrivals is taken, as gateways do.</summary>
    private const double RateSeconds = 30;

    /// <summary>A run that drains gives up after this.</summary>
    private const double DrainSecondsMax = 6 * 3600;

    private readonly LiveSetup _setup;
    private readonly VirtualTime _time = new();
    private readonly LiveCluster _cluster;
    private readonly SortedSet<SimulatedRequest> _queue =
        new(Comparer<SimulatedRequest>.Create((left, right) => left.Index.CompareTo(right.Index)));

    private readonly Queue<SimulatedRequest> _recent = new();
    private readonly SortedDictionary<string, double> _since = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, double> _seconds = new(StringComparer.Ordinal);
    private bool _dispatching;

    public LiveRun(LiveSetup setup)
    {
        _setup = setup;
        _cluster = new LiveCluster(_time, setup, Requeue, Dispatch, Demand);
    }

    /// <param name="progress">Hears the time now and then; null for nobody.</param>
    public SimulationOutcome Run(
        Availability availability, IReadOnlyList<Arrival> arrivals, Action<double>? progress = null)
    {
        var requests = arrivals.TakeWhile(arrival => arrival.Seconds < availability.EndSeconds)
            .Select((arrival, index) => new SimulatedRequest(index, arrival))
            .ToArray();
        if (requests.Length > 0) ScheduleArrival(requests, 0);
        foreach (var change in availability.Changes)
        {
            foreach (var machine in change.Removed)
            {
                var notice = _setup.OfferOf(machine).NoticeSeconds;
                if (notice > 0)
                {
                    _time.At(
                        Math.Max(0, change.Seconds - notice), () => _cluster.Notice(machine, change.Seconds));
                }
            }

            _time.At(change.Seconds, () => Apply(change));
        }

        _time.At(0, _cluster.Start);
        _time.RunUntil(availability.EndSeconds, progress);
        foreach (var machine in _since.Keys.ToList()) Leave(machine);
        while (_setup.Drains && _time.Now < availability.EndSeconds + DrainSecondsMax
            && requests.Any(request => request.CompletedAt is null)) _time.RunUntil(_time.Now + 60, progress);
        return Outcome(availability, requests);
    }

    private void ScheduleArrival(SimulatedRequest[] requests, int index) => _time.At(requests[index].ArrivedAt, () =>
    {
        if (index + 1 < requests.Length) ScheduleArrival(requests, index + 1);
        _queue.Add(requests[index]);
        _recent.Enqueue(requests[index]);
        Dispatch();
    });

    private void Apply(FleetChange change)
    {
        foreach (var machine in change.Removed)
        {
            Leave(machine);
            _cluster.Lose(machine);
        }

        foreach (var machine in change.Added)
        {
            _since.Add(machine, _time.Now);
            _cluster.Join(machine);
        }
    }

    private void Leave(string machine)
    {
        if (!_since.Remove(machine, out var since)) return;
        var offer = _setup.OfferOf(machine).Name;
        _seconds[offer] = _seconds.GetValueOrDefault(offer) + _time.Now - since;
    }

    private void Requeue(IEnumerable<SimulatedRequest> requests)
    {
        foreach (var request in requests) _queue.Add(request);
    }

    /// <summary>The replica with the fewest sequences takes the next request.</summary>
    private void Dispatch()
    {
        if (_dispatching) return;
        _dispatching = true;
        while (_queue.Count > 0)
        {
            var next = _queue.Min!;
            ContinuousReplica? least = null;
            foreach (var replica in _cluster.Accepting)
            {
                if (replica.HasRoomFor(next) && (least is null || replica.Count < least.Count)) least = replica;
            }

            if (least is null) break;
            _queue.Remove(next);
            least.Admit(next);
        }

        _dispatching = false;
    }

    private GatewayDemand Demand()
    {
        while (_recent.TryPeek(out var oldest) && oldest.ArrivedAt < _time.Now - RateSeconds) _recent.Dequeue();
        if (_time.Now < RateSeconds && _setup.RateAtStart is { } rate)
            return new GatewayDemand(rate, _setup.PromptTokens, _setup.OutputTokens, _queue.Count);
        if (_recent.Count == 0) return new GatewayDemand(0, 0, 0, _queue.Count);
        return new GatewayDemand(
            _recent.Count / Math.Clamp(_time.Now, 1, RateSeconds),
            _recent.Average(request => request.PromptTokens),
            _recent.Average(request => request.OutputTokens),
            _queue.Count);
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
            [.. _cluster.Reconfigurations],
            [.. _seconds.Select(entry => new MachineHours(entry.Key, entry.Value / 3600, prices[entry.Key]))],
            _time.Handled);
    }
}
