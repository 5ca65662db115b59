using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>
/// Arithmetic with numbers, and sums of tensors, whose factor is a number too. TorchSharp makes a <see cref="Scalar"/>
/// of a number and hands libtorch its address only: a garbage collection meanwhile frees what libtorch reads, and the
/// result is wrong or the process ends. Here each lives until its operation is done (docs/adr/0140).
/// </summary>
/// <remarks>Names with InPlace change and return their first operand; the others make a new tensor. Shapes broadcast
/// as libtorch's do.</remarks>
internal static class TensorArithmetic
{
    /// <summary>The factor of a plain sum. Never disposed, so never freed.</summary>
    private static readonly Scalar One = 1;

    public static Tensor Plus(this Tensor values, Tensor others) => values.add(others, One);

    public static Tensor Plus(this Tensor values, long number)
    {
        using Scalar scalar = number;
        return values.add(scalar, One);
    }

    public static Tensor Minus(this Tensor values, long number)
    {
        using Scalar scalar = number;
        return values.sub(scalar);
    }

    public static Tensor AddInPlace(this Tensor values, Tensor others) => values.add_(others, One);

    public static Tensor AddInPlace(this Tensor values, double number)
    {
        using Scalar scalar = number;
        return values.add_(scalar, One);
    }

    public static Tensor Times(this Tensor values, double number)
    {
        using Scalar scalar = number;
        return values.mul(scalar);
    }

    public static Tensor Squared(this Tensor values) => values.mul(values);

    public static Tensor MultiplyInPlace(this Tensor values, double number)
    {
        using Scalar scalar = number;
        return values.mul_(scalar);
    }

    public static Tensor DividedBy(this Tensor values, double number)
    {
        using Scalar scalar = number;
        return values.div(scalar);
    }

    public static Tensor DivideInPlace(this Tensor values, double number)
    {
        using Scalar scalar = number;
        return values.div_(scalar);
    }

    /// <summary>Whole numbers from zero on.</summary>
    public static Tensor Counting(long count, Device device)
    {
        using Scalar start = 0L, stop = count, step = 1L;
        return arange(start, stop, step, ScalarType.Int64, device);
    }

    /// <summary>Which values are under the number.</summary>
    public static Tensor IsBelow(this Tensor values, long number)
    {
        using Scalar scalar = number;
        return values.lt(scalar);
    }

    public static Tensor IsAtLeast(this Tensor values, long number)
    {
        using Scalar scalar = number;
        return values.ge(scalar);
    }

    public static Tensor ClampInPlace(this Tensor values, long min, long max)
    {
        using Scalar low = min, high = max;
        return values.clamp_(low, high);
    }

    /// <summary>Whether all of a tensor of truth values are true.</summary>
    public static unsafe bool IsAllTrue(this Tensor values)
    {
        using var all = values.all();
        using var host = all.cpu();
        return *(bool*)TensorMemory.Pointer(host);
    }

    /// <summary>Sets what the mask shows to the number.</summary>
    public static Tensor FillInPlace(this Tensor values, Tensor mask, double number)
    {
        using Scalar scalar = number;
        return values.masked_fill_(mask, scalar);
    }

    /// <summary>Sets rows of a dimension to the number.</summary>
    public static Tensor FillRowsInPlace(this Tensor values, long dimension, Tensor rows, double number)
    {
        using Scalar scalar = number;
        return values.index_fill_(dimension, rows, scalar);
    }
}
