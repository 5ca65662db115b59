namespace SpotServe.Actors.Vocabulary;

/// <summary>Version of the layout. Only ever grows; every message and stream carries it, so that a stale one
/// shows.</summary>
public readonly record struct Epoch(long Value) : IComparable<Epoch>
{
    public static Epoch None => new(0);

    public Epoch Next => new(Value + 1);

    public int CompareTo(Epoch other) => Value.CompareTo(other.Value);

    public override string ToString() => $"e{Value}";

    public static bool operator <(Epoch left, Epoch right) => left.Value < right.Value;

    public static bool operator >(Epoch left, Epoch right) => left.Value > right.Value;

    public static bool operator <=(Epoch left, Epoch right) => left.Value <= right.Value;

    public static bool operator >=(Epoch left, Epoch right) => left.Value >= right.Value;
}

/// <summary>One accelerator of one node process. A restarted process has another <paramref name="Node"/>
/// name.</summary>
/// <param name="Node">The node's unique name: host, port and incarnation.</param>
/// <param name="Index">The device's index on that node, from 0.</param>
public readonly record struct DeviceId(string Node, int Index) : IComparable<DeviceId>
{
    /// <summary>By node, then by index.</summary>
    public int CompareTo(DeviceId other)
    {
        var byNode = string.CompareOrdinal(Node, other.Node);
        return byNode != 0 ? byNode : Index.CompareTo(other.Index);
    }

    public static bool operator <(DeviceId left, DeviceId right) => left.CompareTo(right) < 0;

    public static bool operator >(DeviceId left, DeviceId right) => left.CompareTo(right) > 0;

    public static bool operator <=(DeviceId left, DeviceId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(DeviceId left, DeviceId right) => left.CompareTo(right) >= 0;

    public override string ToString() => $"{Node}/{Index}";
}

/// <summary>A place in a layout: (d, p, m) in the paper's terms.</summary>
/// <param name="Replica">Index on the data-parallel axis, d.</param>
/// <param name="Stage">Index on the pipeline axis, p.</param>
/// <param name="Rank">Index on the tensor-parallel axis, m.</param>
public readonly record struct Position(int Replica, int Stage, int Rank)
{
    public override string ToString() => $"({Replica},{Stage},{Rank})";
}

/// <summary>Layers [First, End) of a model.</summary>
public readonly record struct LayerRange(int First, int End)
{
    public int Count => End - First;

    public bool Contains(int layer) => layer >= First && layer < End;

    public LayerRange Intersect(LayerRange other)
    {
        var first = Math.Max(First, other.First);
        return new LayerRange(first, Math.Max(first, Math.Min(End, other.End)));
    }

    public override string ToString() => $"[{First},{End})";
}
