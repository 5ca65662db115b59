using SpotServe.Node.Weights;
using Xunit;

namespace SpotServe.Tests.Weights;

public sealed unsafe class ElementConversionTests
{
    [Fact]
    public void Every_float16_widens_to_its_value()
    {
        var halves = AllBits();
        var wide = Convert<ushort, float>(halves, ElementType.Float16, ElementType.Float32);

        for (var i = 0; i < halves.Length; i++) AssertSame((float)BitConverter.UInt16BitsToHalf(halves[i]), wide[i]);
    }

    [Fact]
    public void Every_bfloat16_widens_and_narrows_to_itself()
    {
        var values = AllBits();
        var wide = Convert<ushort, float>(values, ElementType.BFloat16, ElementType.Float32);
        var back = Convert<float, ushort>(wide, ElementType.Float32, ElementType.BFloat16);

        for (var i = 0; i < values.Length; i++)
        {
            AssertSame(BitConverter.UInt32BitsToSingle((uint)values[i] << 16), wide[i]);
            if (!float.IsNaN(wide[i])) Assert.Equal(values[i], back[i]);
        }
    }

    [Theory]
    [InlineData(1.00390625f, 1f)] // Half way between two: to the even one.
    [InlineData(1.01171875f, 1.015625f)]
    [InlineData(1.004f, 1.0078125f)]
    [InlineData(float.MaxValue, float.PositiveInfinity)]
    [InlineData(-1e-45f, -0f)]
    [InlineData(float.NaN, float.NaN)]
    public void Float32_rounds_to_the_nearest_bfloat16(float value, float expected)
    {
        // Long enough that vectors and the rest both see the value.
        var narrow = Convert<float, ushort>(
            [.. Enumerable.Repeat(value, 19)], ElementType.Float32, ElementType.BFloat16);

        Assert.All(narrow, bits => AssertSame(expected, BitConverter.UInt32BitsToSingle((uint)bits << 16)));
    }

    [Fact]
    public void Float16_and_bfloat16_convert_through_float32()
    {
        ushort[] ones = [.. Enumerable.Repeat(BitConverter.HalfToUInt16Bits((Half)1.5f), 3000)];
        var narrow = Convert<ushort, ushort>(ones, ElementType.Float16, ElementType.BFloat16);
        var back = Convert<ushort, ushort>(narrow, ElementType.BFloat16, ElementType.Float16);

        Assert.All(narrow, bits => Assert.Equal(0x3FC0, bits));
        Assert.Equal(ones, back);
    }

    private static ushort[] AllBits() => [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];

    private static void AssertSame(float expected, float actual) => Assert.True(
        (float.IsNaN(expected) && float.IsNaN(actual))
        || BitConverter.SingleToUInt32Bits(expected) == BitConverter.SingleToUInt32Bits(actual),
        $"{expected} became {actual}");

    private static TTo[] Convert<TFrom, TTo>(TFrom[] source, ElementType from, ElementType to)
        where TFrom : unmanaged where TTo : unmanaged
    {
        var result = new TTo[source.Length];
        fixed (TFrom* input = source)
        fixed (TTo* output = result)
        {
            ElementConversion.Convert(input, from, output, to, source.Length);
        }

        return result;
    }
}
