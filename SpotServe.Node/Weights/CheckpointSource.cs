using SpotServe.Actors.Execution.Memory;

namespace SpotServe.Node.Weights;

/// <summary>
/// Reads slices out of mapped files. The mapping's pages are given back behind the reader, so that a process never
/// holds more than the slice itself and a few chunks of the file.
/// </summary>
/// <param name="names">How tensors are found.</param>
/// <param name="threads">Threads that read at the same time.</param>
/// <param name="isMapped">Rows that lie in a file as memory wants them are used there, for as long as their users
/// need them; else all is copied.</param>
public sealed unsafe class CheckpointSource(
    Checkpoint checkpoint, CheckpointNames names, int threads, bool isMapped = true) : IWeightSource
{
    private const long ChunkBytes = 4 << 20;

    public void Read(
        string name, IReadOnlyList<long> shape, Rectangle part, void* destination, ElementType type,
        Action<long> onBytes, CancellationToken cancel)
    {
        var ((file, tensor), stored) = Find(name, shape);
        var columns = shape.Skip(1).Aggregate(1L, (product, n) => product * n);
        var reader = new RowReader(
            file.Pointer(tensor), tensor.Type!.Value, columns, part, (byte*)destination, type, stored);
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
        var ((file, tensor), stored) = Find(name, shape);
        if (stored is { IsTransposed: true } || stored?.RunFrom(rows.First) < rows.Count) return null;
        var rowBytes = tensor.Bytes / tensor.Shape[0];
        var start = file.Pointer(tensor) + ((stored?.Place(rows.First) ?? rows.First) * rowBytes);
        // A header of odd length is allowed, but then no tensor lies on an element's boundary.
        if (tensor.Type != type || (nint)start % type.Bytes() != 0) return null;
        return new MappedRows(start, rows.Count * rowBytes, file.Hold());
    }

    private (TensorLocation Location, StoredPart? Part) Find(string name, IReadOnlyList<long> shape) =>
        names.Stored.TryGetValue(name, out var part)
            ? (checkpoint.Require(names.Resolve(checkpoint, part.Name), part.Shape), part)
            : (checkpoint.Require(names.Resolve(checkpoint, name), shape), null);

    /// <summary>Copies rows of one slice. Rows are counted from the slice's first.</summary>
    private sealed class RowReader(
        byte* source, ElementType from, long columns, Rectangle part, byte* destination, ElementType to,
        StoredPart? stored)
    {
        public int SourceBytes => from.Bytes();

        public void Read(long firstRow, long count)
        {
            if (stored is { IsTransposed: true })
            {
                ReadTransposed(firstRow, count);
                return;
            }

            for (var end = firstRow + count; firstRow < end;)
            {
                var row = part.Rows.First + firstRow;
                var run = Math.Min(end - firstRow, stored?.RunFrom(row) ?? long.MaxValue);
                ReadRun(firstRow, stored?.Place(row) ?? row, run);
                firstRow += run;
            }
        }

        /// <summary>Rows that follow each other in the file.</summary>
        private void ReadRun(long firstRow, long storedRow, long count)
        {
            var width = part.Columns.Count;
            var rowBytes = columns * from.Bytes();
            var start = source + (storedRow * rowBytes);
            var target = destination + (firstRow * width * to.Bytes());
            MemoryAdvice.Populate(start, count * rowBytes);
            if (width == columns) ElementConversion.Convert(start, from, target, to, count * columns);
            else
            {
                var first = start + (part.Columns.First * from.Bytes());
                for (long row = 0; row < count; row++)
                {
                    ElementConversion.Convert(
                        first + (row * rowBytes), from, target + (row * width * to.Bytes()), to, width);
                }
            }

            MemoryAdvice.DontNeed(start, count * rowBytes);
        }

        /// <summary>A column of the slice is a run of a stored row.</summary>
        private void ReadTransposed(long firstRow, long count)
        {
            var width = part.Columns.Count;
            var storedColumns = stored!.Shape[1];
            var run = new byte[count * to.Bytes()];
            fixed (byte* converted = run)
            {
                for (long column = 0; column < width; column++)
                {
                    var at = ((part.Columns.First + column) * storedColumns) + stored.Place(part.Rows.First + firstRow);
                    ElementConversion.Convert(source + (at * from.Bytes()), from, converted, to, count);
                    Scatter(converted, firstRow, count, column);
                }
            }
        }

        private void Scatter(byte* run, long firstRow, long count, long column)
        {
            var width = part.Columns.Count;
            var bytes = to.Bytes();
            for (long row = 0; row < count; row++)
            {
                var target = destination + ((((firstRow + row) * width) + column) * bytes);
                if (bytes == sizeof(float)) *(float*)target = ((float*)run)[row];
                else *(ushort*)target = ((ushort*)run)[row];
            }
        }
    }
}
