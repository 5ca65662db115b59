using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Replicas that are alike: the layers and the device kind of each of their stages.</summary>
public sealed record ReplicaTemplate(
    int Count, ImmutableArray<LayerRange> Layers, ImmutableArray<DeviceKind> Kinds, ReplicaCost Cost);

/// <summary>A layout that was considered, with what it would give.</summary>
/// <param name="Templates">The replicas by kind, fastest first; their counts sum to D.</param>
/// <param name="ExecutionSeconds">l_exe at the batch size that this load keeps busy.</param>
/// <param name="WaitSeconds">l_sch.</param>
/// <param name="Throughput">phi, requests per second.</param>
/// <param name="InstanceCount">Instances that it occupies.</param>
/// <param name="CostPerHour">Price of the devices of those instances.</param>
/// <param name="MemoryBytes">Largest need of a device: weights, KV for B sequences and the migration buffer.</param>
/// <param name="InTargetProbability">P(latency &lt;= target).</param>
public sealed record Candidate(
    LayoutDegrees Degrees,
    ImmutableArray<ReplicaTemplate> Templates,
    double ExecutionSeconds,
    double WaitSeconds,
    double Throughput,
    int InstanceCount,
    double CostPerHour,
    long MemoryBytes,
    double InTargetProbability)
{
    /// <summary>l_req = l_sch + l_exe, in seconds.</summary>
    public double LatencySeconds => ExecutionSeconds + WaitSeconds;

    /// <summary>D x P ranges, as a <see cref="Layout"/> has them.</summary>
    public ImmutableArray<LayerRange> StageLayers() =>
        [.. Templates.SelectMany(template => Enumerable.Repeat(template.Layers, template.Count).SelectMany(x => x))];

    /// <summary>D x P device kinds, in the same order.</summary>
    public ImmutableArray<string> StageKinds() =>
        [.. Templates.SelectMany(
            t => Enumerable.Repeat(t.Kinds.Select(kind => kind.Name), t.Count).SelectMany(x => x))];

    public override string ToString() => FormattableString.Invariant(
        $"{Degrees} B={Degrees.BatchSize}: {LatencySeconds:0.000} s, {Throughput:0.000}/s, {CostPerHour:0.00}/h");
}

/// <summary>How a load goes into the devices.</summary>
public enum LoadFit
{
    /// <summary>What was chosen serves it with <see cref="SearchOptions.Headroom"/>, and meets the target.</summary>
    Roomy,

    /// <summary>Something serves it, but nothing has the headroom: what was chosen has most of it.</summary>
    Tight,

    /// <summary>Nothing serves it (or meets the target): what was chosen comes closest.</summary>
    Overloaded,
}

/// <summary>The outcome of a search.</summary>
/// <param name="SpareInstances">Instances that the chosen layout does not use.</param>
/// <param name="Considered">Candidates in all, of which <paramref name="Alternatives"/> lists the best.</param>
public sealed record SearchResult(
    Candidate Chosen,
    LoadFit Fit,
    int SpareInstances,
    int Considered,
    ImmutableArray<Candidate> Alternatives)
{
    public bool IsOverloaded => Fit == LoadFit.Overloaded;
}
