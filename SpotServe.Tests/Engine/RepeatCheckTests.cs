using SpotServe.Node.Engine.Bench;
using Xunit;

namespace SpotServe.Tests.Engine;

[Collection("Engine")]
public sealed class RepeatCheckTests
{
    [Fact]
    public void Decode_on_the_cpu_repeats_its_bits() => AssertRepeats("cpu", "tiny", batch: 2, context: 20, steps: 5);

    [Theory]
    [InlineData(1)]
    [InlineData(32)]
    public void Decode_in_bfloat16_on_cuda_repeats_its_bits(int batch)
    {
        Assert.SkipUnless(Gpu.IsThere, "This machine has no GPU that libtorch can use.");

        // cuDNN's attention differed between runs from a context of about 250 on.
        AssertRepeats("cuda", "1b", batch, context: 480, steps: 400);
    }

    [Fact]
    public void Step_with_one_other_bit_is_found()
    {
        float[] logits = [1, 2, 3];
        var first = RepeatCheck.Hash(7, logits);
        logits[1] = BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(logits[1]) ^ 1);
        var second = RepeatCheck.Hash(7, logits);

        var result = RepeatCheck.Compare([[1, first, 3], [1, second, 3], [1, first, 3]]);

        Assert.Equal(new RepeatResult(3, 3, 1), result);
    }

    private static void AssertRepeats(string device, string shape, int batch, int context, int steps)
    {
        var result = RepeatCheck.Run(
            new BenchOptions(
                device, BenchShape.Named(shape), ElementType.BFloat16, batch, Stages: 1, Ranks: 1, Threads: 1,
                context, steps, Rounds: 4, TorchLib: null),
            _ => { });

        Assert.Equal(0, result.UnequalSteps);
    }
}
