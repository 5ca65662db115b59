using CsCheck;
using SpotServe.Node.Engine;
using SpotServe.Node.Engine.Cpu;
using Xunit;
using static TorchSharp.torch;

namespace SpotServe.Tests.Engine;

/// <summary>Products of our own against float64, at sizes on both sides of every border of their loops.</summary>
[Collection("Engine")]
public sealed class CpuProductTests
{
    /// <summary>Within a piece of the inputs, and over several.</summary>
    private static readonly Gen<int> Widths = Gen.Frequency((8, Gen.Int[1, 150]), (1, Gen.Int[760, 1700]));

    private static readonly Gen<(int Rows, int Inputs, int Outputs, int Threads, uint Seed)> Sizes = Gen.Select(
        Gen.Int[1, CpuProducts.RowsMax], Widths, Gen.Int[1, 40], Gen.Int[1, 3], Gen.UInt);

    public CpuProductTests()
    {
        TorchNative.EnsureLoaded();
        Assert.SkipUnless(
            System.Runtime.Intrinsics.Vector512.IsHardwareAccelerated, "the processor has no vectors of 512 bits");
    }

    [Theory]
    [InlineData(ScalarType.Float32, 1e-5)]
    [InlineData(ScalarType.BFloat16, 8e-3)]
    public void Products_are_those_of_float64_whatever_their_sizes(ScalarType type, double tolerance) =>
        Sizes.Sample(
            size => WithProducts(type, size, (products, values, weight) =>
            {
                using var bias = rand(size.Outputs).to(type);
                using var expected = values.to(ScalarType.Float64).matmul(weight.to(ScalarType.Float64).t());
                using var stored = products.Multiply(values, weight, bias);
                using var sum = ones([size.Rows, size.Outputs], ScalarType.Float32);
                products.MultiplyInto(sum, values, weight, adds: true);

                var scale = values.abs().to(ScalarType.Float64).matmul(weight.abs().to(ScalarType.Float64).t()).max()
                    .item<double>() + 1;
                Assert.True(Off(stored, expected + bias.to(ScalarType.Float64)) <= tolerance * scale);
                Assert.True(Off(sum, expected + 1) <= 1e-5 * scale);
            }),
            iter: 150, threads: 1);

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void No_bit_depends_on_what_is_computed_beside_it_or_on_threads(ScalarType type) =>
        Sizes.Sample(
            size => WithProducts(type, size, (products, values, weight) =>
            {
                using var workers = new CpuWorkers(1);
                using var alone = CpuProducts.For(type, workers)!;
                using var all = empty([size.Rows, size.Outputs], ScalarType.Float32);
                using var one = empty([1, size.Outputs], ScalarType.Float32);
                products.MultiplyInto(all, values, weight, adds: false);
                for (var row = 0; row < size.Rows; row++)
                {
                    alone.MultiplyInto(one, values.narrow(0, row, 1), weight, adds: false);
                    Assert.Equal(
                        TensorMemory.Floats(one).ToArray(),
                        TensorMemory.Floats(all).Slice(row * size.Outputs, size.Outputs).ToArray());
                }
            }),
            iter: 100, threads: 1);

    /// <summary>A slice of a wider matrix, as ranks have one, with values that are no numbers around it: none may be
    /// read into a sum.</summary>
    private static void WithProducts(
        ScalarType type, (int Rows, int Inputs, int Outputs, int Threads, uint Seed) size,
        Action<CpuProducts, Tensor, Tensor> use)
    {
        using var scope = NewDisposeScope();
        using var workers = new CpuWorkers(size.Threads);
        using var products = CpuProducts.For(type, workers, parallelWorkMin: 1)!;
        var generator = new Generator(size.Seed);
        var matrix = full([size.Outputs, size.Inputs + 7], float.NaN, ScalarType.Float32);
        matrix.narrow(1, 3, size.Inputs).copy_(randn([size.Outputs, size.Inputs], generator: generator));
        var weight = matrix.to(type).narrow(1, 3, size.Inputs);
        var values = randn([size.Rows, size.Inputs], generator: generator).to(type);
        Assert.True(CpuProducts.Knows(values, weight));
        use(products, values, weight);
    }

    private static double Off(Tensor actual, Tensor expected) =>
        (actual.to(ScalarType.Float64) - expected).abs().max().item<double>();
}
