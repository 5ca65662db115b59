namespace SpotServe.Actors.Execution.Memory;

/// <summary>Rows of one memory: <paramref name="Width"/> bytes each, <paramref name="Stride"/> bytes from row to row.
/// Bytes that lie together are one row.</summary>
/// <param name="Offset">Of the first row.</param>
public readonly record struct MemoryRun(TensorBytes Memory, long Offset, long Width, long Stride, long Rows)
{
    public static MemoryRun Together(TensorBytes memory, long offset, long bytes) =>
        new(memory, offset, bytes, bytes, Rows: 1);
}

/// <summary>Rows that go from one memory to another: <paramref name="Width"/> bytes each.</summary>
/// <param name="FromStride">Bytes from row to row where they come from.</param>
/// <param name="IntoStride">And where they go.</param>
public readonly record struct MemoryCopy(
    TensorBytes From, long FromOffset, long FromStride, TensorBytes Into, long IntoOffset, long IntoStride, long Width,
    long Rows)
{
    public long Bytes => Width * Rows;

    /// <summary>As much as two runs of the same bytes have together as rows: rows that are as wide on both sides, or
    /// that are cut out of bytes that lie together on the other.</summary>
    /// <param name="bytesMax">At least 1.</param>
    public static MemoryCopy Of(in MemoryRun from, in MemoryRun into, long bytesMax)
    {
        var width = Math.Min(from.Width, into.Width);
        var rows = Math.Min(Rows(from, width), Rows(into, width));
        rows = Math.Min(rows, bytesMax / width);
        return rows < 2
            ? new MemoryCopy(
                from.Memory, from.Offset, width, into.Memory, into.Offset, width, Math.Min(width, bytesMax), Rows: 1)
            : new MemoryCopy(
                from.Memory, from.Offset, Stride(from, width), into.Memory, into.Offset, Stride(into, width), width,
                rows);

        static long Rows(in MemoryRun run, long width) =>
            run.Rows == 1 ? run.Width / width : run.Width == width ? run.Rows : 1;

        static long Stride(in MemoryRun run, long width) => run.Rows == 1 ? width : run.Stride;
    }
}
