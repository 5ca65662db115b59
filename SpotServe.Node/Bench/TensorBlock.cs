using SpotServe.Actors;
using SpotServe.Actors.Execution;
using SpotServe.Node.Engine;
using TorchSharp;

namespace SpotServe.Node.Bench;

/// <summary>All bytes of a tensor in host memory, which it owns: its wire form is its memory.</summary>
internal sealed unsafe class TensorBlock : ITransferBlock
{
    private readonly torch.Tensor _tensor;
    private readonly byte* _first;

    /// <param name="bytes">A multiple of 8.</param>
    public TensorBlock(long bytes)
    {
        Invariant.Holds(bytes > 0 && bytes % sizeof(ulong) == 0);
        // Written once, so that no round pays for pages that the system has yet to give.
        _tensor = torch.zeros([bytes], torch.ScalarType.Byte);
        _first = (byte*)TensorMemory.Pointer(_tensor);
        Bytes = bytes;
    }

    public long Bytes { get; }

    public Span<byte> Direct(long offset)
    {
        Invariant.Holds(offset >= 0 && offset < Bytes);
        return new Span<byte>(_first + offset, (int)Math.Min(Bytes - offset, int.MaxValue));
    }

    public void Read(long offset, Span<byte> into) => Direct(offset)[..into.Length].CopyTo(into);

    public void Write(long offset, ReadOnlySpan<byte> from) => from.CopyTo(Direct(offset));

    /// <summary>Fills it so that every 8 bytes differ.</summary>
    /// <param name="seed">Two seeds have nothing in common.</param>
    public void Fill(ulong seed)
    {
        for (long word = 0; word < Bytes / sizeof(ulong); word++) ((ulong*)_first)[word] = Word(seed, word);
    }

    public bool IsFilledWith(ulong seed)
    {
        for (long word = 0; word < Bytes / sizeof(ulong); word++)
        {
            if (((ulong*)_first)[word] != Word(seed, word)) return false;
        }

        return true;
    }

    public void Dispose() => _tensor.Dispose();

    private static ulong Word(ulong seed, long word) => (seed + (ulong)word) * 0x9E37_79B9_7F4A_7C15;
}
