namespace SpotServe.Actors.Planning;

/// <summary>
/// When each node's links are free. A transfer takes its links whole and in the order of the plan: sharing them would
/// finish no earlier, and the first layers later.
/// </summary>
/// <param name="rates">Of each node.</param>
internal sealed class LinkSchedule(LinkRates[] rates)
{
    private const int Kinds = 5;

    private readonly double[] _free = new double[rates.Length * Kinds];

    /// <summary>When a transfer between two nodes could end.</summary>
    public double PeerFinish(int from, int to, long bytes, double earliest) =>
        PeerStart(from, to, earliest) + LinkRates.SecondsBetween(rates[from], rates[to], from == to, bytes);

    /// <summary>When a node could have read something from its disk or from the store.</summary>
    public double StorageFinish(SourceKind source, int node, long bytes, double earliest)
    {
        var kind = Storage(source);
        return Math.Max(earliest, _free[(node * Kinds) + (int)kind]) + rates[node].LatencySeconds
            + (bytes / rates[node].RateOf(kind));
    }

    /// <summary>Takes the links for a transfer between nodes.</summary>
    public (double Start, double Finish) TakePeer(int from, int to, long bytes, double earliest)
    {
        var start = PeerStart(from, to, earliest);
        var finish = PeerFinish(from, to, bytes, earliest);
        if (from == to)
        {
            _free[(to * Kinds) + (int)NodeLink.Within] = finish;
        }
        else
        {
            _free[(from * Kinds) + (int)NodeLink.Out] = finish;
            _free[(to * Kinds) + (int)NodeLink.In] = finish;
        }

        return (start, finish);
    }

    /// <summary>Takes a node's disk, or its share of the store.</summary>
    public (double Start, double Finish) TakeStorage(SourceKind source, int node, long bytes, double earliest)
    {
        var kind = Storage(source);
        var start = Math.Max(earliest, _free[(node * Kinds) + (int)kind]);
        var finish = StorageFinish(source, node, bytes, earliest);
        _free[(node * Kinds) + (int)kind] = finish;
        return (start, finish);
    }

    private double PeerStart(int from, int to, double earliest) => Math.Max(earliest, from == to
        ? _free[(to * Kinds) + (int)NodeLink.Within]
        : Math.Max(_free[(from * Kinds) + (int)NodeLink.Out], _free[(to * Kinds) + (int)NodeLink.In]));

    private static NodeLink Storage(SourceKind source) => source switch
    {
        SourceKind.Disk => NodeLink.Disk,
        SourceKind.Store => NodeLink.Store,
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
