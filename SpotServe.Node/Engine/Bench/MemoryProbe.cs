using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>Measures how fast a device reads its memory: the bound of a decode step.</summary>
internal static unsafe class MemoryProbe
{
    private const long HostBytes = 512L << 20;
    private const long DeviceBytes = 2L << 30;
    private const int Passes = 4;

    /// <summary>GB/s (1e9 bytes) of the best of several passes. CPU: sum over host memory by
    /// <paramref name="threads"/> threads. CUDA: copy in device memory, reads and writes counted.</summary>
    public static double ReadGigabytesPerSecond(Device device, int threads) =>
        device.type == DeviceType.CPU ? Host(threads) : OnDevice(device);

    private static double Host(int threads)
    {
        var memory = (byte*)NativeMemory.AlignedAlloc((nuint)HostBytes, 4096);
        try
        {
            NativeMemory.Fill(memory, (nuint)HostBytes, 1);
            var best = 0.0;
            for (var pass = 0; pass < Passes; pass++)
            {
                var clock = Stopwatch.StartNew();
                var share = HostBytes / threads / 256 * 256;
                Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads },
                    thread => Sum(memory + (thread * share), share));
                best = Math.Max(best, share * threads / clock.Elapsed.TotalSeconds / 1e9);
            }

            return best;
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    private static void Sum(byte* start, long bytes)
    {
        Vector256<float> a = default, b = default, c = default, d = default;
        var end = (float*)(start + bytes);
        for (var at = (float*)start; at < end; at += 32)
        {
            a += Vector256.Load(at);
            b += Vector256.Load(at + 8);
            c += Vector256.Load(at + 16);
            d += Vector256.Load(at + 24);
        }

        // Used, or the compiler would be free to drop the loop.
        if (Vector256.Sum(a + b + c + d) == float.Epsilon) throw new InvalidOperationException("impossible sum");
    }

    private static double OnDevice(Device device)
    {
        using var scope = NewDisposeScope();
        var from = zeros([DeviceBytes], ScalarType.Byte, device);
        var to = empty([DeviceBytes], ScalarType.Byte, device);
        var best = 0.0;
        for (var pass = 0; pass < Passes; pass++)
        {
            cuda.synchronize(device);
            var clock = Stopwatch.StartNew();
            to.copy_(from);
            cuda.synchronize(device);
            best = Math.Max(best, 2 * DeviceBytes / clock.Elapsed.TotalSeconds / 1e9);
        }

        return best;
    }
}
