using SpotServe.Actors;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Node.Engine.Cuda;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>A contiguous tensor's memory, on the CPU or a GPU. Owns the tensor.</summary>
internal sealed unsafe class TorchBytes : TensorBytes
{
    private readonly Tensor _tensor;
    private readonly Action? _onFree;
    private readonly byte* _start;
    private readonly int? _gpu;

    /// <param name="onFree">Called after the tensor is gone, for what its memory was borrowed from.</param>
    public TorchBytes(Tensor tensor, Action? onFree = null)
        : base(tensor.NumberOfElements * tensor.ElementSize)
    {
        _tensor = tensor;
        _onFree = onFree;
        _start = (byte*)TensorMemory.Pointer(tensor);
        if (tensor.device_type != TorchSharp.DeviceType.CUDA) return;
        _gpu = tensor.device.index;
        // libtorch gives out memory again while work on its stream that used it before is still to run, since whoever
        // gets it works on the same stream. Copies do not: without this wait an engine's step overwrites them.
        CudaDriver.SynchronizeDefaultStream(tensor.device.index);
    }

    public Tensor Tensor => _tensor;

    /// <summary>The GPU that the memory is on; null on the CPU.</summary>
    public int? Gpu => _gpu;

    /// <summary>First byte, wherever it is.</summary>
    public byte* Start => _start;

    /// <summary>First byte, for the CPU's code; null on a GPU.</summary>
    public byte* HostStart => _gpu is null ? _start : null;

    public override Span<byte> Direct(long offset, long bytes)
    {
        Invariant.Holds(offset >= 0 && bytes >= 0 && offset + bytes <= Length);
        return _gpu is null ? new Span<byte>(_start + offset, checked((int)bytes)) : [];
    }

    public override void Read(long offset, Span<byte> into)
    {
        Invariant.Holds(offset >= 0 && offset + into.Length <= Length);
        if (_gpu is { } gpu) CudaDriver.CopyToHost(gpu, _start + offset, into);
        else new ReadOnlySpan<byte>(_start + offset, into.Length).CopyTo(into);
    }

    public override void Write(long offset, ReadOnlySpan<byte> from)
    {
        Invariant.Holds(offset >= 0 && offset + from.Length <= Length);
        if (_gpu is { } gpu) CudaDriver.CopyToDevice(gpu, from, _start + offset);
        else from.CopyTo(new Span<byte>(_start + offset, from.Length));
    }

    public override bool IsOnDevice => _gpu is not null;

    /// <summary>From GPU to GPU on a copier's stream: over NVLink where they reach each other's memory, else as the
    /// driver can.</summary>
    /// <exception cref="SpotServe.Actors.Execution.EngineLostException">The driver failed.</exception>
    public override bool TryCopy(IReadOnlyList<MemoryCopy> copies)
    {
        if (_gpu is null || !copies.All(copy => copy is
            {
                From: TorchBytes { _gpu: not null }, Into: TorchBytes { _gpu: { } gpu },
            } && gpu == _gpu))
        {
            return false;
        }

        using var slot = CopySlot.Rent(_gpu.Value);
        foreach (var copy in copies)
        {
            var (from, into) = ((TorchBytes)copy.From, (TorchBytes)copy.Into);
            Invariant.Holds(IsWithin(copy.FromOffset, copy.FromStride, copy, from.Length));
            Invariant.Holds(IsWithin(copy.IntoOffset, copy.IntoStride, copy, into.Length));
            slot.CopyBetween(
                new DeviceRows(from._gpu!.Value, (nint)(from._start + copy.FromOffset), copy.FromStride),
                new DeviceRows(_gpu.Value, (nint)(into._start + copy.IntoOffset), copy.IntoStride), copy.Width,
                copy.Rows);
        }

        return true;

        static bool IsWithin(long offset, long stride, in MemoryCopy copy, long length) =>
            offset >= 0 && stride >= copy.Width && offset + ((copy.Rows - 1) * stride) + copy.Width <= length;
    }

    protected override void Free()
    {
        _tensor.Dispose();
        _onFree?.Invoke();
    }
}
