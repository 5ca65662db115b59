using System.Runtime.InteropServices;
using SpotServe.Actors;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;
using SpotServe.Node.Engine.Cuda;
using SpotServe.Node.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>Memory of weights on a torch device, and how a model folder's numbers get there.</summary>
internal sealed unsafe class TorchWeights(WeightShape shape, IWeightSource source, Device device) : IWeightMemory
{
    private const long StagingBytes = 16 << 20;
    private const int ComparedWholeMax = 64 << 10;
    private const int SampleElements = 64;
    private const int SampleRows = 4;

    public TensorBytes Allocate(StackedTensors stack, WeightKey key)
    {
        var memory = new TorchBytes(
            empty(SizeOf(stack, key.Share), stack.Type.ToTorch(), device).DetachFromDisposeScope());
        // A file that is mapped comes in runs of pages; memory in pages of 4 kB is read a tenth slower.
        if (memory.HostStart is var start && start is not null) MemoryAdvice.HugePages(start, memory.Length);
        return memory;
    }

    public TensorBytes? Map(StackedTensors stack, WeightKey key, CancellationToken cancel)
    {
        if (device.type != DeviceType.CPU) return null;
        var parts = new List<MappedRows>(stack.Parts.Length);
        try
        {
            foreach (var tensor in stack.Parts)
            {
                var part = shape.RectangleOf(tensor, key.Share);
                if (part.Elements == 0 || part.Elements != part.Rows.Count * Width(tensor)) return null;
                var name = tensor.NameAt(key.Layer);
                if (source.Map(name, tensor.Shape, part.Rows, stack.Type) is not { } rows) return null;
                var isNext = parts.Count == 0 || parts[^1].Start + parts[^1].Bytes == rows.Start;
                parts.Add(rows);
                if (!isNext) return null;
            }

            foreach (var rows in parts) rows.Populate(cancel);
            var over = TensorMemory.Over(parts[0].Start, SizeOf(stack, key.Share), stack.Type.ToTorch());
            var kept = parts.ToArray();
            parts.Clear();
            return new TorchBytes(over.DetachFromDisposeScope(), () => Close(kept));
        }
        finally
        {
            Close(parts);
        }
    }

    public void Load(
        PlacedTensor tensor, int layer, Rectangle part, Action<long> onBytes, CancellationToken cancel)
    {
        var name = tensor.Tensor.NameAt(layer);
        var memory = (TorchBytes)tensor.Memory;
        if (memory.HostStart is var host && host is not null && part.Columns == tensor.Part.Columns)
        {
            var at = host + tensor.OffsetOf(part.Rows.First, part.Columns.First);
            source.Read(name, tensor.Tensor.Shape, part, at, tensor.Type, onBytes, cancel);
            return;
        }

        if (memory.Gpu is { } gpu)
        {
            LoadToDevice(tensor, layer, part, gpu, onBytes, cancel);
            return;
        }

        // Through host memory of bounded size, a band of rows at a time.
        var rowBytes = part.Columns.Count * tensor.Type.Bytes();
        var bandRows = Math.Clamp(StagingBytes / rowBytes, 1, part.Rows.Count);
        var staging = (byte*)NativeMemory.Alloc((nuint)(bandRows * rowBytes));
        try
        {
            for (var first = part.Rows.First; first < part.Rows.End; first += bandRows)
            {
                var rows = new AxisRange(first, Math.Min(first + bandRows, part.Rows.End));
                var band = part with { Rows = rows };
                source.Read(name, tensor.Tensor.Shape, band, staging, tensor.Type, onBytes, cancel);
                Place(tensor, band, staging, (int)rowBytes);
            }
        }
        finally
        {
            NativeMemory.Free(staging);
        }
    }

    /// <summary>A band of rows at a time through pinned memory: one is read while the one before travels.</summary>
    private void LoadToDevice(
        PlacedTensor tensor, int layer, Rectangle part, int gpu, Action<long> onBytes, CancellationToken cancel)
    {
        var name = tensor.Tensor.NameAt(layer);
        var rowBytes = part.Columns.Count * tensor.Type.Bytes();
        Invariant.Holds(rowBytes <= CopySlot.HalfBytes);
        var bandRows = Math.Clamp(CopySlot.HalfBytes / rowBytes, 1, part.Rows.Count);
        var device = (nint)((TorchBytes)tensor.Memory).Start;
        var isWhole = part.Columns == tensor.Part.Columns;
        using var slot = CopySlot.Rent(gpu);
        for (var first = part.Rows.First; first < part.Rows.End; first += bandRows)
        {
            var rows = new AxisRange(first, Math.Min(first + bandRows, part.Rows.End));
            var half = slot.Turn();
            source.Read(name, tensor.Tensor.Shape, part with { Rows = rows }, half, tensor.Type, onBytes, cancel);
            // Rows that are cut lie apart in the tensor: each goes by itself.
            var (runs, bytes) = isWhole ? (1L, rows.Count * rowBytes) : (rows.Count, rowBytes);
            for (long run = 0; run < runs; run++)
            {
                var to = tensor.OffsetOf(rows.First + run, part.Columns.First);
                slot.Send(device + (nint)to, run * rowBytes, bytes);
            }
        }
    }

    public bool Agrees(PlacedTensor tensor, int layer, Rectangle part, CancellationToken cancel)
    {
        var name = tensor.Tensor.NameAt(layer);
        var isSmall = part.Elements * tensor.Type.Bytes() <= ComparedWholeMax;
        foreach (var sample in isSmall ? [part] : Samples(part))
        {
            var stored = new byte[sample.Elements * tensor.Type.Bytes()];
            fixed (byte* into = stored)
                source.Read(name, tensor.Tensor.Shape, sample, into, tensor.Type, _ => { }, cancel);
            if (!IsHere(tensor, sample, stored)) return false;
        }

        return true;
    }

    private static bool IsHere(PlacedTensor tensor, Rectangle part, byte[] stored)
    {
        // Whole rows lie together: a reading each would take longer on a GPU than everything else of a change.
        var rows = part.Columns == tensor.Part.Columns ? part.Rows.Count : 1;
        var here = new byte[rows * part.Columns.Count * tensor.Type.Bytes()];
        for (long row = 0; row < part.Rows.Count; row += rows)
        {
            tensor.Memory.Read(tensor.OffsetOf(part.Rows.First + row, part.Columns.First), here);
            if (!here.AsSpan().SequenceEqual(stored.AsSpan((int)(row / rows) * here.Length, here.Length))) return false;
        }

        return true;
    }

    /// <summary>A run of numbers in the first, the last and two rows between.</summary>
    private static IEnumerable<Rectangle> Samples(Rectangle part)
    {
        var width = Math.Min(SampleElements, part.Columns.Count);
        var places = part.Columns.Count - width + 1;
        for (var i = 0; i < SampleRows; i++)
        {
            var row = part.Rows.First + ((part.Rows.Count - 1) * i / (SampleRows - 1));
            var column = part.Columns.First + ((row * 2_654_435_761) % places);
            yield return new Rectangle(new AxisRange(row, row + 1), new AxisRange(column, column + width));
        }
    }

    private static long Width(TensorSpec tensor) => tensor.Shape.Length == 1 ? 1 : tensor.Shape[1];

    private static void Close(IEnumerable<MappedRows> parts)
    {
        foreach (var rows in parts) rows.Dispose();
    }

    private static void Place(PlacedTensor tensor, Rectangle part, byte* from, int rowBytes)
    {
        if (part.Columns == tensor.Part.Columns)
        {
            var all = new ReadOnlySpan<byte>(from, checked((int)(part.Rows.Count * rowBytes)));
            tensor.Memory.Write(tensor.OffsetOf(part.Rows.First, part.Columns.First), all);
            return;
        }

        for (var row = part.Rows.First; row < part.Rows.End; row++, from += rowBytes)
        {
            tensor.Memory.Write(
                tensor.OffsetOf(row, part.Columns.First), new ReadOnlySpan<byte>(from, rowBytes));
        }
    }

    /// <summary>Rows of all parts, and the columns that they have in common; a vector has rows only.</summary>
    private long[] SizeOf(StackedTensors stack, Share share)
    {
        var rows = stack.Parts.Sum(part => shape.RectangleOf(part, share).Rows.Count);
        var first = stack.Parts[0];
        return first.Shape.Length == 1 ? [rows] : [rows, shape.RectangleOf(first, share).Columns.Count];
    }
}
