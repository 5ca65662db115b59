using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>The wire form of shares, over blocks that hold them whole or in parts.</summary>
internal static class WeightViews
{
    /// <summary>A share of one layer over the blocks that hold it together; null when some of it is in none.</summary>
    /// <param name="group">The tensors wanted; the blocks may be of another group that has tensors of the same name (a
    /// tied embedding).</param>
    /// <param name="close">Called when the view is disposed of.</param>
    /// <param name="without">Tensors to leave out; null for none.</param>
    public static RectangleView? Of(
        WeightShape shape, TensorGroup group, Share share, IReadOnlyList<WeightBlock> blocks, Action? close = null,
        Func<TensorSpec, bool>? without = null)
    {
        var segments = ImmutableArray.CreateBuilder<Segment>();
        long start = 0;
        foreach (var tensor in shape.Specs(group))
        {
            var (axis, range) = shape.Geometry.RangeOf(tensor, share);
            var wanted = Rectangle.Of(tensor, axis, range);
            if (wanted.Elements == 0 || without?.Invoke(tensor) == true) continue;
            var strips = new List<Strip>();
            for (var at = range.First; at < range.End;)
            {
                if (Holder(blocks, tensor, axis, at) is not { } held) return null;
                var end = Math.Min(range.End, axis == 1 ? held.Part.Columns.End : held.Part.Rows.End);
                if (axis == 1)
                {
                    strips.Add(new Strip(
                        held.Memory, held.OffsetOf(0, at), held.RowBytes, (end - at) * held.Type.Bytes()));
                }
                else
                {
                    Add(end - at, [new Strip(held.Memory, held.OffsetOf(at, 0), held.RowBytes, held.RowBytes)]);
                }

                at = end;
            }

            if (axis == 1) Add(wanted.Rows.Count, [.. strips]);
        }

        return new RectangleView(segments.ToImmutable(), close);

        void Add(long rows, ImmutableArray<Strip> strips)
        {
            var segment = new Segment(start, rows, strips);
            segments.Add(segment);
            start = segment.End;
        }
    }

    private static PlacedTensor? Holder(IReadOnlyList<WeightBlock> blocks, TensorSpec tensor, int axis, long at)
    {
        foreach (var block in blocks)
        {
            foreach (var placed in block.Tensors)
            {
                if (placed.Tensor.Name != tensor.Name) continue;
                var range = axis == 1 ? placed.Part.Columns : placed.Part.Rows;
                if (range.First <= at && at < range.End) return placed;
            }
        }

        return null;
    }
}
