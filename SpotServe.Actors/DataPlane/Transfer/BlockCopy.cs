using SpotServe.Actors.Execution;

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
        for (long offset = 0; offset < from.Bytes;)
        {
            var length = (int)Math.Min(chunkBytes, from.Bytes - offset);
            pacer.Take(length, request.Urgent, cancel);
            for (var end = offset + length; offset < end;) offset += CopySome(offset, (int)(end - offset));
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
}
