namespace SpotServe.Actors.Execution.Memory;

/// <summary>Rows and columns of a matrix; a vector has one column.</summary>
public readonly record struct Rectangle(AxisRange Rows, AxisRange Columns)
{
    public long Elements => Rows.Count * Columns.Count;

    /// <summary>The part of a tensor that a cut leaves: its axis (0, 1, or -1 for a tensor that is not cut, whose
    /// range is over axis 0) and the range on it.</summary>
    public static Rectangle Of(TensorSpec tensor, int axis, AxisRange range)
    {
        var columns = new AxisRange(0, tensor.Shape.Length > 1 ? tensor.Shape[1] : 1);
        return axis == 1
            ? new Rectangle(new AxisRange(0, tensor.Shape[0]), range)
            : new Rectangle(range, columns);
    }
}
