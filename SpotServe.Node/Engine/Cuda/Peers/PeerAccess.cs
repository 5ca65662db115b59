using System.Runtime.InteropServices;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// Which GPUs of this process read and write each other's memory. Switched on once, before anything runs: the driver
/// may wait for all work of both GPUs. Thread-safe.
/// </summary>
internal static unsafe partial class PeerAccess
{
    private const string Library = "libcuda.so.1";
    private const int AlreadyOn = 704;

    private static readonly HashSet<(int From, int To)> On = [];

    /// <summary>Lets all of these GPUs reach each other's memory, as far as they can.</summary>
    /// <returns>Null, or what they cannot.</returns>
    public static string? Switch(IReadOnlyList<int> devices)
    {
        string? why = null;
        lock (On)
        {
            foreach (var from in devices)
            {
                foreach (var to in devices)
                {
                    if (from == to || On.Contains((from, to))) continue;
                    if (TrySwitch(from, to) is { } reason) why ??= reason;
                    else On.Add((from, to));
                }
            }
        }

        return why;
    }

    /// <summary>Whether a GPU reaches any other.</summary>
    public static bool HasPeers(int device)
    {
        lock (On) return On.Any(pair => pair.From == device);
    }

    /// <summary>Whether these are different GPUs that all reach each other.</summary>
    public static bool Joins(IReadOnlyList<int> devices)
    {
        lock (On)
        {
            return devices.Distinct().Count() == devices.Count
                && devices.All(from => devices.All(to => from == to || On.Contains((from, to))));
        }
    }

    private static string? TrySwitch(int from, int to)
    {
        int can;
        var status = CanAccess(&can, CudaDriver.Handle(from), CudaDriver.Handle(to));
        if (status != 0 || can == 0) return $"cuda:{from} does not reach the memory of cuda:{to}";
        CudaDriver.UseContext(from);
        status = Enable(CudaDriver.Context(to), 0);
        return status is 0 or AlreadyOn ? null
            : $"CUDA's driver answered error {status} when cuda:{from} asked for the memory of cuda:{to}";
    }

    [LibraryImport(Library, EntryPoint = "cuDeviceCanAccessPeer")]
    private static partial int CanAccess(int* can, int from, int to);

    [LibraryImport(Library, EntryPoint = "cuCtxEnablePeerAccess")]
    private static partial int Enable(nint context, uint flags);
}
