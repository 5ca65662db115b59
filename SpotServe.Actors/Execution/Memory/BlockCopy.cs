namespace SpotServe.Actors.Execution.Memory;

/// <summary>Copies between blocks of one process: by the devices themselves where both lie on some that can, else
/// through the processor.</summary>
public static class BlockCopy
{
    /// <summary>What devices copy at once: little enough that a copy that was cancelled soon ends, enough that starting
    /// one does not count.</summary>
    private const int DeviceBytes = 64 << 20;

    private const int ChunkBytes = 1 << 20;
    private const int StagingBytes = 256 << 10;

    /// <summary>All at once.</summary>
    public static void Run(ITransferBlock from, ITransferBlock into, CancellationToken cancel) =>
        Run(from, into, ChunkBytes, _ => { }, _ => { }, cancel);

    /// <param name="chunkBytes">Of which the processor copies so many at once.</param>
    /// <param name="hold">Told of bytes before the processor copies them; may wait. What devices copy is not held back:
    /// it takes neither the processor nor the network, and of their memory's rate a small part.</param>
    /// <param name="moved">Told of bytes that have arrived.</param>
    /// <exception cref="OperationCanceledException">Cancelled; the target's content is undefined.</exception>
    public static void Run(
        ITransferBlock from, ITransferBlock into, int chunkBytes, Action<int> hold, Action<int> moved,
        CancellationToken cancel)
    {
        Invariant.Holds(from.Bytes == into.Bytes);
        byte[]? staging = null;
        List<MemoryCopy>? copies = from.Bytes > 0 && IsOnDevice(from) && IsOnDevice(into) ? [] : null;
        for (long offset = 0; offset < from.Bytes;)
        {
            cancel.ThrowIfCancellationRequested();
            var length = (int)Math.Min(copies is null ? chunkBytes : DeviceBytes, from.Bytes - offset);
            if (copies is not null && !TryCopyBetweenDevices(from, into, offset, length, copies))
            {
                copies = null;
                continue;
            }

            if (copies is null)
            {
                hold(length);
                for (var done = 0; done < length;) done += CopySome(offset + done, length - done);
            }

            offset += length;
            moved(length);
        }

        int CopySome(long offset, int length)
        {
            var source = from.Direct(offset);
            var target = into.Direct(offset);
            if (!source.IsEmpty) source = source[..Math.Min(source.Length, length)];
            if (!target.IsEmpty) target = target[..Math.Min(target.Length, length)];
            if (source.IsEmpty && target.IsEmpty)
            {
                staging ??= new byte[StagingBytes];
                source = staging.AsSpan(0, Math.Min(length, StagingBytes));
                from.Read(offset, source);
            }

            if (source.IsEmpty)
            {
                from.Read(offset, target);
                return target.Length;
            }

            if (target.IsEmpty)
            {
                into.Write(offset, source);
                return source.Length;
            }

            var count = Math.Min(source.Length, target.Length);
            source[..count].CopyTo(target);
            return count;
        }
    }

    private static bool IsOnDevice(ITransferBlock block) => block.MemoryAt(0) is { Memory.IsOnDevice: true };

    /// <summary>One chunk from GPU to GPU, say: the rows that both ends have together.</summary>
    private static bool TryCopyBetweenDevices(
        ITransferBlock from, ITransferBlock into, long offset, int length, List<MemoryCopy> copies)
    {
        copies.Clear();
        for (var (at, end) = (offset, offset + length); at < end; at += copies[^1].Bytes)
        {
            if (from.MemoryAt(at) is not { } source || into.MemoryAt(at) is not { } target) return false;
            copies.Add(MemoryCopy.Of(source, target, end - at));
        }

        return copies[0].Into.TryCopy(copies);
    }
}
