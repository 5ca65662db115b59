using SpotServe.Node.Engine;
using SpotServe.Node.Engine.Bench;
using SpotServe.Node.Engine.Cuda;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace SpotServe.Tests.Engine;

/// <summary>Memory of a GPU that passes between libtorch's stream, ours and the copiers' (docs/adr/0062).</summary>
[Collection("Engine")]
public sealed class DeviceMemoryTests
{
    private const int Bytes = 1 << 16;

    [Fact]
    public unsafe void Bytes_that_are_copied_into_memory_that_libtorch_still_uses_stay()
    {
        Assert.SkipUnless(Gpu.IsThere, "This machine has no GPU that libtorch can use.");
        var device = new Device(DeviceType.CUDA, 0);
        var pattern = Enumerable.Range(0, Bytes).Select(i => (byte)(i * 31)).ToArray();
        using var scope = NewDisposeScope();
        var wide = ones([8192, 8192], ScalarType.Float32, device);
        for (var round = 0; round < 20; round++)
        {
            // The device has some tens of milliseconds to do before it comes to the filling.
            for (var i = 0; i < 3; i++) wide.matmul(wide).Dispose();
            var given = empty([Bytes], ScalarType.Byte, device).fill_(7);
            var place = (nint)TensorMemory.Pointer(given);
            given.Dispose();

            var taken = new TorchBytes(empty([Bytes], ScalarType.Byte, device).DetachFromDisposeScope());
            Assert.Equal(place, (nint)taken.Start);
            taken.Write(0, pattern);

            CudaDriver.SynchronizeDefaultStream(0);
            var found = new byte[Bytes];
            taken.Read(0, found);
            Assert.Equal(pattern, found);
            taken.Release();
        }
    }

    [Theory]
    [InlineData(ElementType.Float32)]
    [InlineData(ElementType.BFloat16)]
    public void Sequences_keep_their_bits_through_hundreds_of_hand_overs(ElementType type)
    {
        Assert.SkipUnless(Gpu.IsThere, "This machine has no GPU that libtorch can use.");

        var result = new HandOverTrace(new Device(DeviceType.CUDA, 0), type).Run(handOvers: 300);

        Assert.Equal(0, result.Unequal);
    }

    [Theory]
    [InlineData(ElementType.Float32)]
    [InlineData(ElementType.BFloat16)]
    public void Sequences_keep_their_bits_through_hand_overs_on_the_cpu(ElementType type)
    {
        var result = new HandOverTrace(TorchDevices.Open("cpu", null, threads: 1), type).Run(handOvers: 4);

        Assert.True(result.Steps > result.HandOvers);
        Assert.Equal(0, result.Unequal);
    }
}
