using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>How a migration gets by with the memory there is.</summary>
public enum MigrationMode
{
    /// <summary>Old and new slices fit side by side: the old layout serves until the cut-over.</summary>
    CopyWhileServing,

    /// <summary>The old layout stops first, as in the paper: asked for, or because slices must be freed
    /// early.</summary>
    StopThenMigrate,
}

/// <summary>Bytes by the way that they take.</summary>
public readonly record struct TransferBytes(long IntraNode, long InterNode, long Disk, long Store)
{
    public long Total => IntraNode + InterNode + Disk + Store;
}

/// <summary>How busy a node's link is in a migration.</summary>
/// <param name="Busy">Its transfers' time, end to end.</param>
public readonly record struct LinkLoad(string Node, NodeLink Link, long Bytes, TimeSpan Busy);

/// <summary>The steps from what devices hold to a layout, in order, with estimated times and the memory they
/// take.</summary>
/// <param name="PreCopy">Until the cut-over can be: bytes move while the old layout serves (zero when it stops
/// first).</param>
/// <param name="Pause">How long nothing is served: the tail, or all of the migration when the old layout stops
/// first.</param>
/// <param name="StageStart">D x P: when each stage has all it needs.</param>
/// <param name="PeakBytes">Most bytes that each device of the target holds at once, in the order of its
/// placement.</param>
/// <param name="CacheGivenUp">Whether KV pages were given up for want of memory or time; their requests are computed
/// anew.</param>
/// <param name="Notes">What a person should know: frees that come early, caches given up, sources that leave.</param>
public sealed record MigrationPlan(
    Layout Target,
    MigrationMode Mode,
    ImmutableArray<MigrationStep> Steps,
    TimeSpan PreCopy,
    TimeSpan Pause,
    ImmutableArray<TimeSpan> StageStart,
    ImmutableArray<long> PeakBytes,
    TransferBytes Moved,
    bool CacheGivenUp,
    ImmutableArray<string> Notes)
{
    /// <summary>T_mig: until the new layout serves.</summary>
    public TimeSpan Duration => PreCopy + Pause;

    /// <summary>How long each link is busy, the longest first: the bound that no order can go below.</summary>
    public ImmutableArray<LinkLoad> LinkLoads(LinkRates links)
    {
        var bytes = new Dictionary<(string Node, NodeLink Link), (long Bytes, int Count)>();
        foreach (var (from, to, moved) in PeerTransfers())
        {
            if (from.Node == to.Node)
            {
                Add(to.Node, NodeLink.Within, moved);
                continue;
            }

            Add(from.Node, NodeLink.Out, moved);
            Add(to.Node, NodeLink.In, moved);
        }

        foreach (var copy in Steps.OfType<MigrationStep.CopyWeights>().Where(copy => copy.From.Kind != SourceKind.Peer))
        {
            Add(copy.To.Node, copy.From.Kind == SourceKind.Disk ? NodeLink.Disk : NodeLink.Store, copy.Bytes);
        }

        return
        [
            .. bytes.Select(entry => new LinkLoad(
                    entry.Key.Node,
                    entry.Key.Link,
                    entry.Value.Bytes,
                    TimeSpan.FromSeconds(
                        (entry.Value.Bytes / links.RateOf(entry.Key.Link))
                            + (entry.Value.Count * links.LatencySeconds))))
                .OrderByDescending(load => load.Busy).ThenBy(load => load.Node, StringComparer.Ordinal)
                .ThenBy(load => load.Link),
        ];

        void Add(string node, NodeLink link, long moved)
        {
            var (sum, count) = bytes.GetValueOrDefault((node, link));
            bytes[(node, link)] = (sum + moved, count + 1);
        }
    }

    private IEnumerable<(DeviceId From, DeviceId To, long Bytes)> PeerTransfers()
    {
        foreach (var step in Steps)
        {
            switch (step)
            {
                case MigrationStep.CopyWeights { From.Kind: SourceKind.Peer } copy:
                    yield return (copy.From.Device, copy.To, copy.SliceBytes);
                    break;
                case MigrationStep.CopyCache copy:
                    yield return (copy.From, copy.To, copy.SliceBytes);
                    break;
                default:
                    break;
            }
        }
    }
}
