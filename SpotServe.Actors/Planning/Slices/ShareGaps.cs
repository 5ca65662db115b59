namespace SpotServe.Actors.Planning;

/// <summary>What remains of a share after others were taken out of it. Mutable, one owner.</summary>
internal sealed class ShareGaps
{
    private readonly List<(int First, int End)> _even = new(2);
    private readonly List<(int First, int End)> _heads = new(2);
    private bool _replicated;

    public ShareGaps(Share whole)
    {
        if (whole.First < whole.End) _even.Add((whole.First, whole.End));
        if (whole.KvFirst < whole.KvEnd) _heads.Add((whole.KvFirst, whole.KvEnd));
        _replicated = whole.Replicated;
    }

    public bool IsEmpty => _even.Count == 0 && _heads.Count == 0 && !_replicated;

    /// <summary>Takes a share out.</summary>
    public void Remove(Share held)
    {
        Remove(_even, held.First, held.End);
        Remove(_heads, held.KvFirst, held.KvEnd);
        if (held.Replicated) _replicated = false;
    }

    /// <summary>What is left, as disjoint shares; the first one carries one interval of each axis.</summary>
    public IEnumerable<Share> Parts()
    {
        var count = Math.Max(Math.Max(_even.Count, _heads.Count), _replicated ? 1 : 0);
        for (var i = 0; i < count; i++)
        {
            var even = i < _even.Count ? _even[i] : default;
            var heads = i < _heads.Count ? _heads[i] : default;
            yield return new Share(even.First, even.End, heads.First, heads.End, _replicated && i == 0);
        }
    }

    private static void Remove(List<(int First, int End)> gaps, int first, int end)
    {
        if (first >= end) return;
        for (var i = gaps.Count - 1; i >= 0; i--)
        {
            var gap = gaps[i];
            if (gap.End <= first || gap.First >= end) continue;
            gaps.RemoveAt(i);
            if (gap.End > end) gaps.Insert(i, (end, gap.End));
            if (gap.First < first) gaps.Insert(i, (gap.First, first));
        }
    }
}
