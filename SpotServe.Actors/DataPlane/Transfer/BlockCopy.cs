using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;

namespace SpotServe.Actors.DataPlane;

/// <summary>Copies between blocks of one process, chunk by chunk so that it can be paced and cancelled.</summary>
internal static class BlockCopy
{
    private const int StagingBytes = 256 * 1024;

    /// <exception cref="SliceLostException">The blocks' lengths differ.</exception>
    public static void Run(
        SliceRequest request,
        ITransferBlock from,
        ITransferBlock into,
        int chunkBytes,
        TransferPacer pacer,
        CancellationToken cancel)
    {
        if (from.Bytes != into.Bytes)
        {
            throw new SliceLostException(
                request, $"the source has {from.Bytes} bytes where {into.Bytes} are due");
        }

        byte[]? staging = null;
        List<MemoryCopy>? copies = from.Bytes > 0 && IsOnDevice(from) && IsOnDevice(into) ? [] : null;
        for (long offset = 0; offset < from.Bytes;)
        {
            var (start, length) = (offset, (int)Math.Min(chunkBytes, from.Bytes - offset));
            pacer.Take(length, request.Urgent, cancel);
            if (copies is not null && TryCopyBetweenDevices(from, into, offset, length, copies)) offset += length;
            for (var end = start + length; offset < end;) offset += CopySome(offset, (int)(end - offset));
            TransferMetrics.Moved(request, TransferMetrics.FromThisNode, length);
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

    /// <summary>One chunk from GPU to GPU, say: the runs of memory that both ends have together.</summary>
    private static bool TryCopyBetweenDevices(
        ITransferBlock from, ITransferBlock into, long offset, int length, List<MemoryCopy> copies)
    {
        copies.Clear();
        for (var (at, end) = (offset, offset + length); at < end;)
        {
            if (from.MemoryAt(at) is not { } source || into.MemoryAt(at) is not { } target) return false;
            var bytes = Math.Min(Math.Min(source.Bytes, target.Bytes), end - at);
            copies.Add(new MemoryCopy(source.Memory, source.Offset, target.Memory, target.Offset, bytes));
            at += bytes;
        }

        return copies[0].Into.TryCopy(copies);
    }
}
