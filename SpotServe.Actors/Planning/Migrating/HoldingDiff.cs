namespace SpotServe.Actors.Planning;

/// <summary>What a device lacks of its new position, and what it has that the position does not need.</summary>
internal static class HoldingDiff
{
    /// <summary>Slices of the need that the holding lacks, disjoint, in order of layers.</summary>
    public static IEnumerable<WeightSlice> Missing(IEnumerable<WeightSlice> need, IReadOnlyList<WeightSlice> held) =>
        need.SelectMany(slice => Minus(slice, held));

    /// <summary>Slices that the holding has beyond the need, disjoint even where held slices overlap.</summary>
    public static IEnumerable<WeightSlice> Surplus(IReadOnlyList<WeightSlice> held, IReadOnlyList<WeightSlice> need)
    {
        var taken = new List<WeightSlice>(need);
        foreach (var slice in held)
        {
            foreach (var rest in Minus(slice, taken)) yield return rest;
            // A second slice over the same bytes frees nothing more.
            taken.Add(slice);
        }
    }

    private static IEnumerable<WeightSlice> Minus(WeightSlice whole, IReadOnlyList<WeightSlice> others)
    {
        var first = whole.Layers.First;
        while (first < whole.Layers.End)
        {
            var end = whole.Layers.End;
            ShareGaps? gaps = null;
            for (var i = 0; i < others.Count; i++)
            {
                var other = others[i];
                if (other.Group != whole.Group) continue;
                if (other.Layers.Contains(first))
                {
                    end = Math.Min(end, other.Layers.End);
                    gaps ??= new ShareGaps(whole.Share);
                    gaps.Remove(other.Share);
                }
                else if (other.Layers.First > first)
                {
                    end = Math.Min(end, other.Layers.First);
                }
            }

            var layers = new LayerRange(first, end);
            if (gaps is null) yield return whole with { Layers = layers };
            else foreach (var part in gaps.Parts()) yield return whole with { Layers = layers, Share = part };
            first = end;
        }
    }
}
