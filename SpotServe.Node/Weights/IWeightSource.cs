using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Node.Weights;

/// <summary>Where an engine's weights come from: a checkpoint, made numbers for a benchmark, another node.</summary>
public unsafe interface IWeightSource
{
    /// <summary>Writes a part of a weight, row by row without gaps, converted to <paramref name="type"/>.</summary>
    /// <param name="name">The checkpoint's name of the tensor, its layer filled in.</param>
    /// <param name="shape">Its whole shape as the configuration promises it.</param>
    /// <param name="destination">Host memory for part.Elements elements.</param>
    /// <param name="onBytes">Told the destination's bytes as they become ready; called from several threads.</param>
    /// <exception cref="ModelFormatException">The tensor is missing or another.</exception>
    void Read(
        string name, IReadOnlyList<long> shape, Rectangle part, void* destination, ElementType type,
        Action<long> onBytes, CancellationToken cancel);

    /// <summary>Rows of a weight where they lie in host memory in this type, without a copy; null where they do not.
    /// Nothing is read yet: see <see cref="MappedRows.Populate"/>.</summary>
    /// <inheritdoc cref="Read" path="/exception"/>
    MappedRows? Map(string name, IReadOnlyList<long> shape, AxisRange rows, ElementType type) => null;
}

/// <summary>Whole rows of a weight in a mapped file. Read-only.</summary>
/// <param name="file">Keeps the mapping until it is disposed of.</param>
public sealed unsafe class MappedRows(byte* start, long bytes, IDisposable file) : IDisposable
{
    private const long ChunkBytes = 16 << 20;

    public byte* Start => start;

    public long Bytes => bytes;

    /// <summary>Brings the pages into memory, so that using them waits for no disk.</summary>
    public void Populate(CancellationToken cancel)
    {
        for (long at = 0; at < bytes; at += ChunkBytes)
        {
            cancel.ThrowIfCancellationRequested();
            MemoryAdvice.Populate(start + at, Math.Min(ChunkBytes, bytes - at));
        }
    }

    public void Dispose() => file.Dispose();
}
