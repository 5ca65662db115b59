using System.Runtime.InteropServices;

namespace SpotServe.Node.Engine;

/// <summary>
/// Zeros on the CPU that take no memory before they are used: the kernel gives a page of zeros when one is touched
/// first. A cache for many sequences costs what the sequences need, not what they may come to, and a layout is ready
/// sooner.
/// </summary>
internal static unsafe class UntouchedZeros
{
    /// <summary>What libtorch's own allocations have, for loads of whole vectors.</summary>
    private const nuint Alignment = 64;

    /// <summary>A contiguous tensor of zeros; its memory goes with the bytes that are returned.</summary>
    /// <exception cref="OutOfMemoryException">There is no address range of that size.</exception>
    public static TorchBytes Allocate(ReadOnlySpan<long> sizes, ElementType type)
    {
        var bytes = (nuint)type.Bytes();
        foreach (var size in sizes) bytes = checked(bytes * (nuint)size);
        // calloc knows that fresh pages of the kernel are zeros and leaves them alone.
        var memory = NativeMemory.AllocZeroed(checked(bytes + Alignment));
        var aligned = (void*)(((nuint)memory + Alignment - 1) / Alignment * Alignment);
        try
        {
            var tensor = TensorMemory.Over(aligned, sizes, type.ToTorch()).DetachFromDisposeScope();
            return new TorchBytes(tensor, () => NativeMemory.Free(memory));
        }
        catch
        {
            NativeMemory.Free(memory);
            throw;
        }
    }
}
