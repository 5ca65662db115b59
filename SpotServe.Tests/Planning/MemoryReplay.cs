using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Planning;

/// <summary>What each device holds while a plan is replayed, and the laws that it breaks, if it does.</summary>
internal sealed class MemoryReplay
{
    private const int ViolationsMax = 32;

    private readonly MigrationProblem _problem;
    private readonly Dictionary<DeviceId, Contents> _devices = [];
    private readonly List<string> _violations = [];
    private readonly Dictionary<int, long> _tokensOf;

    public MemoryReplay(MigrationProblem problem)
    {
        _problem = problem;
        _tokensOf = problem.Inherited.Kept.GroupBy(c => c.OldReplica)
            .ToDictionary(g => g.Key, g => g.Sum(c => c.PageTokens));
        foreach (var cache in problem.Caches) _tokensOf[cache.Replica] = cache.PageTokens;
        foreach (var holding in problem.Holdings)
        {
            var contents = At(holding.Device);
            contents.Weights.AddRange(HoldingDiff.Surplus(holding.Weights, []));
            contents.Caches.AddRange(holding.Caches);
            contents.Bytes = contents.Weights.Sum(problem.Geometry.Bytes) + holding.Caches.Sum(SliceBytes);
            contents.Peak = contents.Bytes;
        }
    }

    public ImmutableArray<string> Violations() => [.. _violations];

    public ImmutableDictionary<DeviceId, long> Peaks() =>
        _devices.ToImmutableDictionary(entry => entry.Key, entry => entry.Value.Peak);

    public void Begin(MigrationStep step)
    {
        var to = step switch
        {
            MigrationStep.CopyWeights copy => copy.To,
            MigrationStep.CopyCache copy => copy.To,
            _ => throw new System.Diagnostics.UnreachableException(),
        };
        RequireSource(step, "begins");
        var contents = At(to);
        contents.Bytes += step.Bytes;
        contents.Peak = Math.Max(contents.Peak, contents.Bytes);
        if (contents.Bytes > _problem.BudgetFor(to))
        {
            Broken($"{to} holds {contents.Bytes} bytes, its budget is {_problem.BudgetFor(to)}: {step}");
        }
    }

    public void End(MigrationStep step)
    {
        RequireSource(step, "ends");
        if (step is not MigrationStep.CopyWeights copy) return;
        var contents = At(copy.To);
        var twice = _problem.Geometry.Bytes(copy.Slice) - MissingBytes(copy.Slice, contents.Weights);
        if (twice != 0) Broken($"{twice} bytes arrive a second time: {step}");
        contents.Weights.Add(copy.Slice);
    }

    public void Free(MigrationStep step)
    {
        switch (step)
        {
            case MigrationStep.FreeWeights free:
                var contents = At(free.Device);
                var missing = MissingBytes(free.Slice, contents.Weights);
                if (missing != 0) Broken($"{missing} bytes are freed that are not there: {step}");
                var kept = contents.Weights.SelectMany(held => HoldingDiff.Surplus([held], [free.Slice])).ToList();
                contents.Weights.Clear();
                contents.Weights.AddRange(kept);
                contents.Bytes -= step.Bytes;
                break;
            case MigrationStep.FreeCache free:
                if (!At(free.Device).Caches.Remove(free.Slice)) Broken($"Pages are freed that are not there: {step}");
                At(free.Device).Bytes -= step.Bytes;
                break;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    /// <summary>In the end every position has all weights that it needs.</summary>
    public void RequireNeeds(Layout target)
    {
        foreach (var position in target.Positions)
        {
            var device = target.DeviceAt(position);
            foreach (var slice in _problem.Geometry.Need(PositionNeed.Of(target, position)))
            {
                var missing = MissingBytes(slice, At(device).Weights);
                if (missing != 0) Broken($"{missing} bytes of {slice} never arrive on {device} at {position}.");
            }
        }
    }

    private void RequireSource(MigrationStep step, string when)
    {
        switch (step)
        {
            case MigrationStep.CopyWeights { From.Kind: SourceKind.Peer } copy:
                var missing = MissingBytes(copy.Slice, At(copy.From.Device).Weights);
                if (missing != 0) Broken($"{missing} bytes are not at the source when this {when}: {step}");
                break;
            case MigrationStep.CopyCache copy when !At(copy.From).Caches.Exists(held => Covers(held, copy.Slice)):
                Broken($"The pages are not at the source when this {when}: {step}");
                break;
            default:
                break;
        }
    }

    private long MissingBytes(WeightSlice slice, List<WeightSlice> held) =>
        HoldingDiff.Missing([slice], held).Sum(_problem.Geometry.Bytes);

    private static bool Covers(CacheSlice held, CacheSlice slice) => held.Replica == slice.Replica
        && held.Layers.First <= slice.Layers.First && held.Layers.End >= slice.Layers.End
        && held.KvFirst <= slice.KvFirst && held.KvEnd >= slice.KvEnd;

    private long SliceBytes(CacheSlice slice) => _problem.Geometry.KvBytes(
        _tokensOf.GetValueOrDefault(slice.Replica), slice.Layers.Count, slice.KvEnd - slice.KvFirst);

    private void Broken(string what)
    {
        if (_violations.Count < ViolationsMax) _violations.Add(what);
    }

    private Contents At(DeviceId device)
    {
        if (!_devices.TryGetValue(device, out var contents)) _devices[device] = contents = new Contents();
        return contents;
    }

    private sealed class Contents
    {
        public List<WeightSlice> Weights { get; } = [];

        public List<CacheSlice> Caches { get; } = [];

        public long Bytes { get; set; }

        public long Peak { get; set; }
    }
}
