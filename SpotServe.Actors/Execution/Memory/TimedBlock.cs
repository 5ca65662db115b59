namespace SpotServe.Actors.Execution.Memory;

/// <summary>
/// Sees how fast another block is filled, from its first bytes on: what came before them, such as connecting, is no
/// part of a link's rate. Ends the transfer when its time is over. For one transfer at a time.
/// </summary>
/// <param name="stop">Cancels the transfer.</param>
internal sealed class TimedBlock(
    ITransferBlock block, TimeProvider clock, TimeSpan timeMax, CancellationTokenSource stop) : ITransferBlock
{
    /// <summary>Fewer bytes after the first ones come out of a buffer: then all of it is timed, from the
    /// request on.</summary>
    private const long FlowBytesMin = 1 << 20;

    private readonly long _begun = clock.GetTimestamp();
    private (long At, long Bytes)? _first;
    private (long At, long Bytes) _last;

    public long Bytes => block.Bytes;

    /// <summary>Bytes that came within <see cref="Took"/>.</summary>
    public long MovedBytes => IsFlow ? _last.Bytes - _first!.Value.Bytes : _last.Bytes;

    public TimeSpan Took => _first is null
        ? TimeSpan.Zero
        : clock.GetElapsedTime(IsFlow ? _first.Value.At : _begun, _last.At);

    private bool IsFlow => _first is { } first && _last.Bytes - first.Bytes >= FlowBytesMin && _last.At > first.At;

    public Span<byte> Direct(long offset)
    {
        var direct = block.Direct(offset);
        // Written elsewhere later, this is only the end of what came before.
        if (!direct.IsEmpty) Note(offset);
        return direct;
    }

    public void Read(long offset, Span<byte> into) => block.Read(offset, into);

    public void Write(long offset, ReadOnlySpan<byte> from)
    {
        block.Write(offset, from);
        Note(offset + from.Length);
    }

    public MemoryRun? MemoryAt(long offset)
    {
        Note(offset);
        return block.MemoryAt(offset);
    }

    /// <summary>All of it is there.</summary>
    public void End() => Note(Bytes);

    public void Dispose() => block.Dispose();

    private void Note(long bytes)
    {
        var now = clock.GetTimestamp();
        _first ??= (now, bytes);
        _last = (now, bytes);
        if (clock.GetElapsedTime(_first.Value.At, now) >= timeMax) stop.Cancel();
    }
}
