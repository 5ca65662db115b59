using SpotServe.Node.Engine;
using SpotServe.Node.Engine.Bench;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>The CUDA kernels against libtorch and against themselves, as <c>bench --verify</c> does it; some minutes on
/// a GPU. Elsewhere the CPU's kernels and the golden models stand in.</summary>
[Collection("Engine")]
public sealed class KernelTests(ITestOutputHelper output)
{
    [Fact]
    public void Kernels_compute_what_libtorch_computes_with_bits_that_no_batch_and_no_layout_changes()
    {
        Assert.SkipUnless(Gpu.IsThere, "This machine has no GPU that libtorch can use.");
        var told = new List<string>();

        var failures = new KernelCheck(TorchDevices.Open("cuda", null, threads: 1), line =>
        {
            told.Add(line);
            output.WriteLine(line);
        }).Run();

        var failed = told.Where(line => line.StartsWith("FAIL", StringComparison.Ordinal));
        Assert.True(failures == 0, string.Join('\n', failed));
    }
}

/// <summary>Whether this machine has a GPU that tests can use.</summary>
internal static class Gpu
{
    private static readonly Lazy<bool> Found = new(() =>
    {
        try
        {
            TorchDevices.Open("cuda", null, threads: 1);
            return true;
        }
        catch (TorchLoadException)
        {
            return false;
        }
    });

    public static bool IsThere => Found.Value;
}
