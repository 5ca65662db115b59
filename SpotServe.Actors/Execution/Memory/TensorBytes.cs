namespace SpotServe.Actors.Execution.Memory;

/// <summary>
/// One tensor's memory on a device as bytes, row-major without gaps. Counts its owners and frees itself with the last
/// one, so that blocks, engines and open transfers can share it. Reads and writes of different bytes may run at the
/// same time.
/// </summary>
public abstract class TensorBytes(long length)
{
    private int _owners = 1;

    public long Length { get; } = length;

    /// <summary>Host memory of a run of bytes; empty when the tensor does not lie in host memory as one
    /// piece.</summary>
    public abstract Span<byte> Direct(long offset, long bytes);

    /// <summary>Copies bytes out.</summary>
    public abstract void Read(long offset, Span<byte> into);

    /// <summary>Copies bytes in.</summary>
    public abstract void Write(long offset, ReadOnlySpan<byte> from);

    /// <summary>Whether <see cref="TryCopy"/> may copy without the host.</summary>
    public virtual bool IsOnDevice => false;

    /// <summary>Copies between memories of devices, of which this is a target, without the host; all is there when it
    /// returns.</summary>
    /// <returns>False where these devices cannot: nothing was copied.</returns>
    public virtual bool TryCopy(IReadOnlyList<MemoryCopy> copies) => false;

    /// <summary>Adds an owner; each owner calls <see cref="Release"/> once.</summary>
    public TensorBytes Share()
    {
        Invariant.Holds(Interlocked.Increment(ref _owners) > 1);
        return this;
    }

    public void Release()
    {
        var left = Interlocked.Decrement(ref _owners);
        Invariant.Holds(left >= 0);
        if (left == 0) Free();
    }

    /// <summary>Gives the memory back: nobody owns it any more.</summary>
    protected abstract void Free();
}
