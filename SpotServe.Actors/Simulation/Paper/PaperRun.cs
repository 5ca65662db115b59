using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// A run of the paper's evaluation under one policy: fixed batches, changes announced half a minute ahead, latencies of
/// what was completed by the trace's end. What differs between policies is what they do when machines are announced to
/// come or go.
/// </summary>
internal abstract class PaperRun(PaperModel model, PaperAssumptions assumed)
{
    private readonly List<Reconfigured> _reconfigurations = [];
    private readonly Dictionary<(int Stages, int Ranks, int Size), ReplicaCost> _costs = [];

    protected PaperModel Model => model;

    protected PaperAssumptions Assumed => assumed;

    protected SliceGeometry Geometry { get; } = new(model.Shape.ToModelSpec());

    protected ProfileCostModel Cost { get; } = new(model.Profile);

    protected VirtualTime Time { get; } = new();

    protected BatchService Service { get; private set; } = null!;

    /// <summary>Machines that are there, in the order in which they came.</summary>
    protected ImmutableList<string> Machines { get; private set; } = [];

    /// <summary>alpha.</summary>
    protected double Rate { get; private set; } = model.PlannedRate;

    public abstract string Name { get; }

    /// <summary>Plays availability and arrivals through.</summary>
    public SimulationOutcome Run(Availability availability, IReadOnlyList<Arrival> arrivals)
    {
        Service = new BatchService(Time, assumed.PoolFactor);
        var requests = arrivals.TakeWhile(arrival => arrival.Seconds < availability.EndSeconds)
            .Select((arrival, index) => new SimulatedRequest(index, arrival))
            .ToArray();
        foreach (var request in requests) Time.At(request.ArrivedAt, () => Service.Arrive(request));
        var first = availability.Changes[0];
        Machines = [.. first.Added];
        Rate = first.Rate ?? Rate;
        Begin();
        foreach (var change in availability.Changes.Skip(1))
        {
            Time.At(Math.Max(0, change.Seconds - assumed.NoticeSeconds), () => Announce(change));
        }

        Time.RunUntil(availability.EndSeconds);
        Service.Finish();
        return Outcome(availability, requests);
    }

    /// <summary>The first layout: weights are there, and the queue is empty.</summary>
    protected abstract void Begin();

    /// <summary>A change is known of and will be at its time.</summary>
    protected abstract void Announce(FleetChange change);

    /// <summary>From here on the machines of a change are there, or gone.</summary>
    protected void Apply(FleetChange change)
    {
        Machines = Machines.RemoveRange(change.Removed).AddRange(change.Added);
        Rate = change.Rate ?? Rate;
    }

    /// <summary>Machines once a change has happened.</summary>
    protected ImmutableList<string> After(FleetChange change) =>
        Machines.RemoveRange(change.Removed).AddRange(change.Added);

    /// <summary>The controller's choice, or null when no replica fits.</summary>
    protected SearchResult? Search(IReadOnlyCollection<string> machines, double rate)
    {
        if (machines.Count * PaperModel.DevicesEach < model.ReplicaDevicesMin) return null;
        return new LayoutSearch(Geometry, Cost, SearchOptions.Paper(model.Profile, model.ReplicaDevicesMin))
            .Run([.. machines.Select(PaperMachine.Of)], PaperModel.Load(rate));
    }

    /// <summary>Times of a batch of some size.</summary>
    protected ReplicaCost CostOf(int stages, int ranks, int size)
    {
        if (_costs.TryGetValue((stages, ranks, size), out var known)) return known;
        var shape = ReplicaShape.Even(model.Profile.LayerCount, stages, ranks, PaperMachine.Device);
        var cost = Cost.Cost(shape, size, PaperModel.Load(Rate), Batching.Fixed);
        var factor = assumed.ExecutionFactor;
        return _costs[(stages, ranks, size)] = cost with
        {
            Prefill = cost.Prefill * factor,
            Step = cost.Step * factor,
            Overhead = cost.Overhead * factor,
        };
    }

    protected BatchReplica NewReplica(int stages, int ranks, int sizeMax, double readyAt) =>
        new(size => CostOf(stages, ranks, size), sizeMax, readyAt);

    /// <summary>Seconds in which each machine of a new pipeline loads its four devices' weights.</summary>
    protected double LoadSeconds(int stages, int ranks) =>
        PaperModel.DevicesEach * Geometry.WeightBytes / (double)(stages * ranks) / assumed.StorageBytesPerSecond;

    protected void Note(LayoutDegrees degrees, string cause, double pause, long movedBytes) => _reconfigurations.Add(
        new Reconfigured(Time.Now, Machines.Count, degrees, cause, pause, movedBytes));

    protected static string CauseOf(FleetChange change)
    {
        var parts = new List<string>(3);
        if (change.Added.Length > 0) parts.Add("+" + string.Join(" +", change.Added));
        if (change.Removed.Length > 0) parts.Add("-" + string.Join(" -", change.Removed));
        if (change.Rate is { } rate) parts.Add(FormattableString.Invariant($"{rate:0.##} requests/s"));
        return string.Join(", ", parts);
    }

    private SimulationOutcome Outcome(Availability availability, SimulatedRequest[] requests)
    {
        var done = requests.Where(request => request.CompletedAt is not null).ToList();
        return new SimulationOutcome(
            Name,
            availability.EndSeconds,
            requests.Length,
            [.. done.Select(request => new CompletedRequest(request.ArrivedAt, request.CompletedAt!.Value))],
            done.Sum(request => (long)request.OutputTokens),
            requests.Sum(request => request.RecomputedTokens),
            [.. _reconfigurations],
            [new MachineHours("spot", MachineSeconds(availability) / 3600, PaperMachine.SpotPrice)],
            Time.Handled);
    }

    private static double MachineSeconds(Availability availability)
    {
        var (seconds, since, count) = (0.0, 0.0, 0);
        foreach (var step in availability.Counts())
        {
            seconds += (step.Seconds - since) * count;
            (since, count) = step;
        }

        return seconds + ((availability.EndSeconds - since) * count);
    }
}
