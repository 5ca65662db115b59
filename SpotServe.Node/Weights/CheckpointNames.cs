using System.Collections.Frozen;
using System.Collections.Immutable;

namespace SpotServe.Node.Weights;

/// <summary>Where a tensor lies in a stored one.</summary>
/// <param name="Name">Of the stored tensor.</param>
/// <param name="Shape">Of the stored tensor.</param>
/// <param name="FirstRow">The stored row (column, if transposed) of the first row.</param>
/// <param name="Block">Rows that follow each other there.</param>
/// <param name="Stride">Stored rows from one block's beginning to the next one's.</param>
/// <param name="IsTransposed">Its rows are the stored tensor's columns.</param>
public sealed record StoredPart(
    string Name, ImmutableArray<long> Shape, long FirstRow = 0, long Block = long.MaxValue, long Stride = 0,
    bool IsTransposed = false)
{
    /// <summary>Stored row (column, if transposed) of a row.</summary>
    public long Place(long row) => FirstRow + (row / Block * Stride) + (row % Block);

    /// <summary>Rows from this one on that follow each other in the stored tensor.</summary>
    public long RunFrom(long row) => Block - (row % Block);
}

/// <summary>Under which names and in which forms a checkpoint has a model's tensors.</summary>
/// <param name="Aliases">Other names of a tensor, tried when it is missing (tied embeddings).</param>
/// <param name="Stored">Tensors that are a part of another, or stored the other way round.</param>
/// <param name="BasePrefix">What names begin with, unless the checkpoint was saved without its head.</param>
public sealed record CheckpointNames(
    FrozenDictionary<string, string> Aliases, FrozenDictionary<string, StoredPart> Stored, string BasePrefix)
{
    /// <summary>All tensors by their own names.</summary>
    public static CheckpointNames Plain { get; } = new(
        FrozenDictionary<string, string>.Empty, FrozenDictionary<string, StoredPart>.Empty, "");

    /// <summary>The name that a checkpoint has a tensor under; the tensor's own when it has none.</summary>
    public string Resolve(Checkpoint checkpoint, string name)
    {
        foreach (var known in Aliases.TryGetValue(name, out var alias) ? (string[])[name, alias] : [name])
        {
            if (checkpoint.TryFind(known, out _)) return known;
            if (BasePrefix.Length == 0 || !known.StartsWith(BasePrefix, StringComparison.Ordinal)) continue;
            if (checkpoint.TryFind(known[BasePrefix.Length..], out _)) return known[BasePrefix.Length..];
        }

        return name;
    }
}
