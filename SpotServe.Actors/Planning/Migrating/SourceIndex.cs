namespace SpotServe.Actors.Planning;

/// <summary>A part that a device lacks, and who has all of it.</summary>
/// <param name="Share">Of one layer (or of the front or back).</param>
/// <param name="Bytes">Of one layer.</param>
/// <param name="Holders">Indices of the holdings that cover it, rising; empty when only storage has it.</param>
internal sealed record MissingPart(Share Share, long Bytes, int[] Holders)
{
    /// <summary>Where the search for the next source begins: a round over the holders spreads the load.</summary>
    public int Next { get; set; }
}

/// <summary>
/// Who holds which weights, by runs of layers in which that does not change. Devices with the same share are one class,
/// so what a thousand devices lack is worked out a few dozen times.
/// </summary>
internal sealed class SourceIndex
{
    private readonly SliceGeometry _geometry;
    private readonly Dictionary<TensorGroup, List<Run>> _runs = [];
    private readonly Dictionary<(TensorGroup, int Run, Share), MissingPart[]> _known = [];

    public SourceIndex(SliceGeometry geometry, IReadOnlyList<Holding> holdings)
    {
        _geometry = geometry;
        foreach (var group in Enum.GetValues<TensorGroup>())
        {
            _runs[group] = Build(group == TensorGroup.Layers ? geometry.Model.LayerCount : 1, group, holdings);
        }
    }

    /// <summary>Layers [first, end) in runs that have the same holders throughout.</summary>
    public IEnumerable<(int Run, LayerRange Layers)> Runs(TensorGroup group, LayerRange layers)
    {
        var runs = _runs[group];
        for (var i = 0; i < runs.Count; i++)
        {
            var common = runs[i].Layers.Intersect(layers);
            if (common.Count > 0) yield return (i, common);
        }
    }

    /// <summary>Cuts a missing share into parts that one holder has whole, as few as the holders allow.</summary>
    public MissingPart[] Parts(TensorGroup group, int run, Share missing)
    {
        if (_known.TryGetValue((group, run, missing), out var known)) return known;
        var parts = new List<MissingPart>();
        var gaps = new ShareGaps(missing);
        var classes = _runs[group][run].Classes;
        while (!gaps.IsEmpty)
        {
            var left = gaps.Parts().ToArray();
            var best = classes.Keys.Select(share => (Share: share, Bytes: Common(group, share, left)))
                .OrderByDescending(entry => entry.Bytes)
                .ThenBy(entry => entry.Share.First)
                .ThenBy(entry => entry.Share.End)
                .ThenBy(entry => entry.Share.KvFirst)
                .FirstOrDefault();
            foreach (var gap in left)
            {
                var part = best.Bytes > 0 ? gap.Intersect(best.Share) : gap;
                var bytes = _geometry.Bytes(group, part);
                if (bytes > 0) parts.Add(new MissingPart(part, bytes, best.Bytes > 0 ? Covering(classes, part) : []));
                gaps.Remove(part);
            }
        }

        return _known[(group, run, missing)] = [.. parts];
    }

    private long Common(TensorGroup group, Share share, Share[] gaps) =>
        gaps.Sum(gap => _geometry.Bytes(group, gap.Intersect(share)));

    private static int[] Covering(Dictionary<Share, List<int>> classes, Share part)
    {
        var covering = classes.Where(entry => entry.Key.Covers(part)).Select(entry => entry.Value).ToArray();
        return covering.Length == 1 ? [.. covering[0]] : [.. covering.SelectMany(x => x).Distinct().Order()];
    }

    private static List<Run> Build(int layerCount, TensorGroup group, IReadOnlyList<Holding> holdings)
    {
        var borders = new SortedSet<int> { 0, layerCount };
        foreach (var slice in holdings.SelectMany(holding => holding.Weights))
        {
            if (slice.Group != group) continue;
            borders.Add(Math.Clamp(slice.Layers.First, 0, layerCount));
            borders.Add(Math.Clamp(slice.Layers.End, 0, layerCount));
        }

        var runs = borders.Zip(borders.Skip(1), (first, end) => new Run(new LayerRange(first, end), [])).ToList();
        for (var i = 0; i < holdings.Count; i++)
        {
            foreach (var slice in holdings[i].Weights)
            {
                if (slice.Group != group) continue;
                foreach (var run in runs)
                {
                    if (run.Layers.Intersect(slice.Layers).Count == 0) continue;
                    if (!run.Classes.TryGetValue(slice.Share, out var devices)) run.Classes[slice.Share] = devices = [];
                    if (devices.Count == 0 || devices[^1] != i) devices.Add(i);
                }
            }
        }

        return runs;
    }

    private sealed record Run(LayerRange Layers, Dictionary<Share, List<int>> Classes);
}
