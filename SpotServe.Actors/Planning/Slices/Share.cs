namespace SpotServe.Actors.Planning;

/// <summary>
/// A part of one layer's weights (or of the front's or back's), in closed form. A layer is three independent axes: the
/// evenly cut tensors, all cut at the same fractions; the key/value heads; and what every rank holds. A share is an
/// interval on each, so a rank of any M is a share, and so is every intersection of two of them.
/// </summary>
/// <param name="First">Start on the even axis, in units of 1/<see cref="Unit"/>.</param>
/// <param name="End">End on the even axis, exclusive.</param>
/// <param name="KvFirst">First key/value head.</param>
/// <param name="KvEnd">End of the key/value heads, exclusive.</param>
/// <param name="Replicated">Whether the tensors that are not cut are part of it.</param>
public readonly record struct Share(int First, int End, int KvFirst, int KvEnd, bool Replicated)
{
    /// <summary>The even axis has this length: a multiple of every M up to 16 and of 32 and 64, so that rank
    /// boundaries of any two of them meet exactly and sizes cut at them agree with <see
    /// cref="TensorSlices.Even"/>.</summary>
    public const int Unit = 2_882_880;

    public bool IsEmpty => First >= End && KvFirst >= KvEnd && !Replicated;

    public Share Intersect(Share other)
    {
        var first = Math.Max(First, other.First);
        var kvFirst = Math.Max(KvFirst, other.KvFirst);
        return new Share(
            first,
            Math.Max(first, Math.Min(End, other.End)),
            kvFirst,
            Math.Max(kvFirst, Math.Min(KvEnd, other.KvEnd)),
            Replicated && other.Replicated);
    }

    public bool Covers(Share other) =>
        (other.First >= other.End || (First <= other.First && other.End <= End))
        && (other.KvFirst >= other.KvEnd || (KvFirst <= other.KvFirst && other.KvEnd <= KvEnd))
        && (Replicated || !other.Replicated);

    /// <summary>E.g. "1/4..1/2 + kv heads 2..4 + replicated".</summary>
    public override string ToString()
    {
        var parts = new List<string>(3);
        if (First < End) parts.Add($"{Fraction(First)}..{Fraction(End)}");
        if (KvFirst < KvEnd) parts.Add($"kv heads {KvFirst}..{KvEnd}");
        if (Replicated) parts.Add("replicated");
        return parts.Count == 0 ? "nothing" : string.Join(" + ", parts);
    }

    private static string Fraction(int ticks)
    {
        if (ticks == 0) return "0";
        if (ticks == Unit) return "1";
        var divisor = (int)System.Numerics.BigInteger.GreatestCommonDivisor(ticks, Unit);
        return $"{ticks / divisor}/{Unit / divisor}";
    }
}

/// <summary>Which list of a model's tensors a slice belongs to.</summary>
public enum TensorGroup
{
    /// <summary>Before layer 0: the first stage's.</summary>
    Front,

    /// <summary>The layers'.</summary>
    Layers,

    /// <summary>After the last layer: the last stage's.</summary>
    Back,
}

/// <summary>Weights as a rectangle: layers times a share. Front and back count as one layer, [0, 1).</summary>
public readonly record struct WeightSlice(TensorGroup Group, LayerRange Layers, Share Share)
{
    public override string ToString() => Group switch
    {
        TensorGroup.Front => $"front {Share}",
        TensorGroup.Back => $"back {Share}",
        _ => Layers.Count == 1 ? $"layer {Layers.First} {Share}" : $"layers {Layers} {Share}",
    };
}
