using SpotServe.Actors.Execution;

namespace SpotServe.Tests.DataPlane;

/// <summary>A block in an array, of which every other run of <c>runBytes</c> can be used directly.</summary>
/// <param name="runBytes">0: nothing is direct; the array's length or more: all is.</param>
internal sealed class MemoryBlock(byte[] bytes, int runBytes = int.MaxValue) : ITransferBlock
{
    private int _disposals;

    public byte[] Content => bytes;

    public bool IsDisposed => _disposals > 0;

    public long Bytes => bytes.Length;

    public static byte[] Random(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public Span<byte> Direct(long offset)
    {
        if (runBytes == 0 || offset / runBytes % 2 == 1) return [];
        var end = Math.Min(bytes.Length, ((offset / runBytes) + 1) * runBytes);
        return bytes.AsSpan((int)offset, (int)(end - offset));
    }

    public void Read(long offset, Span<byte> into) => bytes.AsSpan((int)offset, into.Length).CopyTo(into);

    public void Write(long offset, ReadOnlySpan<byte> from) => from.CopyTo(bytes.AsSpan((int)offset));

    public void Dispose() => Interlocked.Increment(ref _disposals);
}
