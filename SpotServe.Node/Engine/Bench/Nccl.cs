using System.Runtime.InteropServices;

namespace SpotServe.Node.Engine.Bench;

/// <summary>NVIDIA's own sums over the GPUs of this process, to measure ours beside. PyTorch brings the
/// library.</summary>
internal sealed unsafe partial class Nccl : IDisposable
{
    private const string Library = "libnccl.so.2";
    private const int Float32 = 7;
    private const int Sum = 0;

    private readonly nint[] _communicators;

    private Nccl(nint[] communicators) => _communicators = communicators;

    /// <summary>Null where the library is not to be had or does not start.</summary>
    public static Nccl? Open(IReadOnlyList<int> devices)
    {
        var made = new nint[devices.Count];
        try
        {
            fixed (nint* communicators = made)
            fixed (int* list = devices.ToArray())
                return InitializeAll(communicators, devices.Count, list) == 0 ? new Nccl(made) : null;
        }
        catch (Exception error) when (error is DllNotFoundException or EntryPointNotFoundException)
        {
            return null;
        }
    }

    /// <summary>Queues a sum over all GPUs in place, or records it where the streams are being captured.</summary>
    /// <returns>False where the library failed.</returns>
    public bool AllReduce(ReadOnlySpan<nint> values, long count, ReadOnlySpan<nint> streams)
    {
        var status = GroupStart();
        for (var rank = 0; rank < _communicators.Length; rank++)
        {
            status |= AllReduce(
                values[rank], values[rank], (nuint)count, Float32, Sum, _communicators[rank], streams[rank]);
        }

        return (GroupEnd() | status) == 0;
    }

    public void Dispose()
    {
        foreach (var communicator in _communicators) _ = Destroy(communicator);
    }

    [LibraryImport(Library, EntryPoint = "ncclCommInitAll")]
    private static partial int InitializeAll(nint* communicators, int count, int* devices);

    [LibraryImport(Library, EntryPoint = "ncclCommDestroy")]
    private static partial int Destroy(nint communicator);

    [LibraryImport(Library, EntryPoint = "ncclGroupStart")]
    private static partial int GroupStart();

    [LibraryImport(Library, EntryPoint = "ncclGroupEnd")]
    private static partial int GroupEnd();

    [LibraryImport(Library, EntryPoint = "ncclAllReduce")]
    private static partial int AllReduce(
        nint from, nint to, nuint count, int type, int operation, nint communicator, nint stream);
}
