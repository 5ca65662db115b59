using System.Collections.Frozen;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;

namespace SpotServe.Node.Weights;

/// <summary>
/// Reads slices out of mapped files. The mapping's pages are given back behind the reader, so that a process never
/// holds more than the slice itself and a few chunks of the file.
/// </summary>
/// <param name="aliases">Other names under which a tensor may be stored (tied embeddings).</param>
/// <param name="threads">Threads that read at the same time.</param>
/// <param name="isMapped">Rows that lie in a file as memory wants them are used there, for as long as their users
/// need them; else all is copied.</param>
public sealed unsafe class CheckpointSource(
    Checkpoint checkpoint, FrozenDictionary<string, string> aliases, int threads, bool isMapped = true) : IWeightSource
{
    private const long ChunkBytes = 4 << 20;

    public void Read(
        string name, IReadOnlyList<long> shape, Rectangle part, void* destination, ElementType type,
        Action<long> onBytes, CancellationToken cancel)
    {
        var (file, tensor) = Find(name, shape);
        var columns = shape.Skip(1).Aggregate(1L, (product, n) => product * n);
        var reader = new RowReader(file.Pointer(tensor), tensor.Type!.Value, columns, part, (byte*)destination, type);
        // One fault for each 2 MiB of the destination instead of 512, and fewer misses when it is multiplied later.
        MemoryAdvice.HugePages((byte*)destination, part.Elements * type.Bytes());
        var rowsPerChunk = Math.Max(1, ChunkBytes / Math.Max(1, columns * reader.SourceBytes));
        var chunks = (part.Rows.Count + rowsPerChunk - 1) / rowsPerChunk;
        Parallel.For(0L, chunks, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancel },
            chunk =>
            {
                var first = chunk * rowsPerChunk;
                var count = Math.Min(rowsPerChunk, part.Rows.Count - first);
                reader.Read(first, count);
                onBytes(count * part.Columns.Count * type.Bytes());
            });
    }

    public MappedRows? Map(string name, IReadOnlyList<long> shape, AxisRange rows, ElementType type)
    {
        if (!isMapped) return null;
        var (file, tensor) = Find(name, shape);
        var rowBytes = tensor.Bytes / shape[0];
        var start = file.Pointer(tensor) + (rows.First * rowBytes);
        // A header of odd length is allowed, but then no tensor lies on an element's boundary.
        if (tensor.Type != type || (nint)start % type.Bytes() != 0) return null;
        return new MappedRows(start, rows.Count * rowBytes, file.Hold());
    }

    private TensorLocation Find(string name, IReadOnlyList<long> shape)
    {
        if (!checkpoint.TryFind(name, out _) && aliases.TryGetValue(name, out var alias)
            && checkpoint.TryFind(alias, out _))
        {
            name = alias;
        }

        return checkpoint.Require(name, shape);
    }

    /// <summary>Copies rows of one slice. Rows are counted from the slice's first.</summary>
    private sealed class RowReader(
        byte* source, ElementType from, long columns, Rectangle part, byte* destination, ElementType to)
    {
        public int SourceBytes => from.Bytes();

        public void Read(long firstRow, long count)
        {
            var width = part.Columns.Count;
            var rowBytes = columns * from.Bytes();
            var start = source + ((part.Rows.First + firstRow) * rowBytes);
            var target = destination + (firstRow * width * to.Bytes());
            MemoryAdvice.Populate(start, count * rowBytes);
            if (width == columns) ElementConversion.Convert(start, from, target, to, count * columns);
            else
            {
                start += part.Columns.First * from.Bytes();
                for (long row = 0; row < count; row++)
                {
                    ElementConversion.Convert(
                        start + (row * rowBytes), from, target + (row * width * to.Bytes()), to, width);
                }

                start -= part.Columns.First * from.Bytes();
            }

            MemoryAdvice.DontNeed(start, count * rowBytes);
        }
    }
}
