using System.Collections.Immutable;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>One memory's part of each row of a segment: <paramref name="Width"/> bytes, <paramref name="Stride"/>
/// bytes from row to row.</summary>
public readonly record struct Strip(TensorBytes Memory, long Offset, long Stride, long Width);

/// <summary>Rows of the wire form, each made of the strips' parts, left to right.</summary>
public sealed class Segment
{
    private readonly ImmutableArray<Strip> _strips;
    private readonly long _rowBytes;

    public Segment(long start, long rows, ImmutableArray<Strip> strips)
    {
        Start = start;
        _strips = strips;
        _rowBytes = strips.Sum(strip => strip.Width);
        End = start + (rows * _rowBytes);
    }

    public long Start { get; }

    public long End { get; }

    /// <summary>What lies at an offset of the wire form: bytes that lie together, or rows as far as they are of one
    /// memory.</summary>
    public MemoryRun RunAt(long offset)
    {
        var at = offset - Start;
        var first = _strips[0];
        if (_strips.Length == 1 && first.Stride == first.Width)
            return MemoryRun.Together(first.Memory, first.Offset + at, End - offset);
        var (row, column) = (at / _rowBytes, at % _rowBytes);
        if (_strips.Length == 1 && column == 0)
        {
            return new MemoryRun(
                first.Memory, first.Offset + (row * first.Stride), first.Width, first.Stride,
                (End - offset) / _rowBytes);
        }

        var i = 0;
        while (column >= _strips[i].Width) column -= _strips[i++].Width;
        var strip = _strips[i];
        return MemoryRun.Together(
            strip.Memory, strip.Offset + (row * strip.Stride) + column, strip.Width - column);
    }
}

/// <summary>Rectangles of tensors as one run of bytes.</summary>
internal sealed class RectangleView : ITransferBlock
{
    /// <summary>Shorter runs are copied through the caller's buffer rather than given to a socket one by one.</summary>
    public const int DirectBytesMin = 64 << 10;

    private readonly ImmutableArray<Segment> _segments;
    private Action? _close;

    /// <param name="segments">In order, without gaps; none is empty.</param>
    /// <param name="close">Called once, when the view is disposed.</param>
    public RectangleView(ImmutableArray<Segment> segments, Action? close)
    {
        _segments = segments;
        _close = close;
        Bytes = segments.Length == 0 ? 0 : segments[^1].End;
    }

    public long Bytes { get; }

    public Span<byte> Direct(long offset)
    {
        if (offset == Bytes) return [];
        var run = RunAt(offset);
        return run.Width < DirectBytesMin ? [] : run.Memory.Direct(run.Offset, Math.Min(run.Width, int.MaxValue));
    }

    public void Read(long offset, Span<byte> into)
    {
        while (into.Length > 0)
        {
            var run = RunAt(offset);
            var count = (int)Math.Min(run.Width, into.Length);
            run.Memory.Read(run.Offset, into[..count]);
            into = into[count..];
            offset += count;
        }
    }

    public void Write(long offset, ReadOnlySpan<byte> from)
    {
        while (from.Length > 0)
        {
            var run = RunAt(offset);
            var count = (int)Math.Min(run.Width, from.Length);
            run.Memory.Write(run.Offset, from[..count]);
            from = from[count..];
            offset += count;
        }
    }

    public MemoryRun? MemoryAt(long offset) => RunAt(offset);

    public void Dispose() => Interlocked.Exchange(ref _close, null)?.Invoke();

    private MemoryRun RunAt(long offset)
    {
        if (offset < 0 || offset >= Bytes)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"The block has {Bytes} bytes.");
        int low = 0, high = _segments.Length - 1;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (offset < _segments[middle].End) high = middle;
            else low = middle + 1;
        }

        return _segments[low].RunAt(offset);
    }
}
