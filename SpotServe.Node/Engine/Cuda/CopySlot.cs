using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using SpotServe.Actors;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// A copier between host and device: two halves of pinned memory, each with a stream, so that one half is filled or
/// read while the other travels. Several work at the same time, beside the engine's stream. One user at a time: rent
/// one and dispose of it, which waits for what is under way.
/// </summary>
internal sealed unsafe partial class CopySlot : IDisposable
{
    /// <summary>Bytes of a half: long enough for the link's rate, short enough that filling and copying
    /// overlap.</summary>
    public const int HalfBytes = 8 << 20;

    /// <summary>Copiers of a device at most: their memory is pinned for the life of the process.</summary>
    private const int SlotsMax = 8;

    /// <summary>A copier is held for some milliseconds: nobody waits so long but for a GPU that hangs.</summary>
    private static readonly TimeSpan FreeMax = TimeSpan.FromSeconds(60);

    private const string Library = "libcuda.so.1";
    private const uint Portable = 1;

    private static readonly ConcurrentDictionary<int, Pool> Pools = [];

    private readonly Pool _pool;
    private readonly CudaStream[] _streams = [new(), new()];
    private readonly byte* _memory;
    private int _half;

    private CopySlot(Pool pool)
    {
        _pool = pool;
        void* memory;
        CudaDriver.Ran(HostAllocate(&memory, 2 * HalfBytes, Portable), nameof(HostAllocate));
        _memory = (byte*)memory;
    }

    /// <summary>Waits for a free copier of a device and makes the device's context the calling thread's.</summary>
    /// <exception cref="EngineLostException">None got free in time, or the driver failed.</exception>
    public static CopySlot Rent(int device)
    {
        CudaDriver.UseContext(device);
        return Pools.GetOrAdd(device, _ => new Pool()).Take();
    }

    /// <summary>The other half, once nothing that was sent from it, or brought into it, is under way.</summary>
    public byte* Turn()
    {
        _half = 1 - _half;
        _streams[_half].Synchronize();
        return _memory + (_half * HalfBytes);
    }

    /// <summary>Begins to copy a part of the current half to the device.</summary>
    /// <param name="offset">In the half.</param>
    public void Send(nint to, long offset, long bytes)
    {
        Invariant.Holds(offset >= 0 && bytes >= 0 && offset + bytes <= HalfBytes);
        _streams[_half].CopyToDevice(to, _memory + (_half * HalfBytes) + offset, bytes);
    }

    /// <summary>Begins to copy from the device to the start of the current half. Once turned, <see cref="AwaitOther"/>
    /// waits for it.</summary>
    public void Bring(nint from, long bytes)
    {
        Invariant.Holds(bytes is >= 0 and <= HalfBytes);
        _streams[_half].CopyToHost(_memory + (_half * HalfBytes), from, bytes);
    }

    /// <summary>Begins to copy rows from GPU to GPU, or within one, without the halves; <see cref="Dispose"/> waits for
    /// it.</summary>
    public void CopyBetween(in DeviceRows from, in DeviceRows into, long width, long rows)
    {
        var stream = _streams[_half];
        if (rows == 1) stream.CopyBetween(from, into, width);
        else stream.CopyRowsBetween(from, into, width, rows);
    }

    /// <summary>Waits for the half that is not the current one.</summary>
    public void AwaitOther() => _streams[1 - _half].Synchronize();

    public void Dispose()
    {
        try
        {
            foreach (var stream in _streams) stream.Synchronize();
        }
        finally
        {
            _pool.Return(this);
        }
    }

    [LibraryImport(Library, EntryPoint = "cuMemHostAlloc")]
    private static partial int HostAllocate(void** memory, nuint bytes, uint flags);

    private sealed class Pool
    {
        private readonly SemaphoreSlim _free = new(SlotsMax);
        private readonly ConcurrentBag<CopySlot> _made = [];

        public CopySlot Take()
        {
            if (!_free.Wait(FreeMax))
            {
                throw new EngineLostException(
                    $"No copier between host and GPU got free within {FreeMax.TotalSeconds:0} s: the GPU hangs.");
            }

            try
            {
                return _made.TryTake(out var slot) ? slot : new CopySlot(this);
            }
            catch
            {
                _free.Release();
                throw;
            }
        }

        public void Return(CopySlot slot)
        {
            _made.Add(slot);
            _free.Release();
        }
    }
}
