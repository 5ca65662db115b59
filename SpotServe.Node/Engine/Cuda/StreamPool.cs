using System.Collections.Concurrent;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// Streams of engines, kept for the next engine of the device when one ends. libtorch keeps memory and cuBLAS its
/// workspaces for each stream that they have seen, for the life of the process: a new stream for each engine would lose
/// some of the device's memory with every change of layout. Thread-safe.
/// </summary>
internal static class StreamPool
{
    private static readonly ConcurrentDictionary<int, ConcurrentBag<CudaStream>> Free = [];

    /// <summary>A stream on which nothing is under way; the device's context is the calling thread's from now
    /// on.</summary>
    public static CudaStream Take(int device)
    {
        CudaDriver.UseContext(device);
        return Free.TryGetValue(device, out var streams) && streams.TryTake(out var stream) ? stream : new CudaStream();
    }

    /// <summary>Takes a stream back from an engine that waited for all that it started on it.</summary>
    public static void Give(int device, CudaStream stream) => Free.GetOrAdd(device, _ => []).Add(stream);
}
