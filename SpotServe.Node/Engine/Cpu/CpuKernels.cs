using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cpu;

/// <summary>
/// The small operations of a step on the CPU, each one pass over memory instead of several operations of libtorch.
/// All take contiguous tensors whose last dimension is a multiple of 8.
/// </summary>
internal abstract class CpuKernels
{
    /// <summary>Kernels for a type of activations, or null where libtorch's operations must do (float16, odd
    /// sizes).</summary>
    public static CpuKernels? For(StageContext stage, CpuWorkers workers)
    {
        var isEven = stage.Heads.HeadSize % 8 == 0 && stage.Model.HiddenSize % 8 == 0;
        if (!isEven || !Vector256.IsHardwareAccelerated) return null;
        return stage.WeightType switch
        {
            ScalarType.Float32 => new CpuKernels<Float32Element>(stage, workers),
            ScalarType.BFloat16 => new CpuKernels<BFloat16Element>(stage, workers),
            _ => null,
        };
    }

    /// <summary>x / sqrt(mean(x^2) + epsilon) * weight for each row of [rows, width], float32 to the weight
    /// type.</summary>
    public abstract void RmsNorm(Tensor values, Tensor weight, float epsilon, Tensor result);

    /// <summary>Multiplies values by silu(gate), both of one shape.</summary>
    public abstract void SiluMultiply(Tensor gate, Tensor values);

    /// <summary>Turns the first heads of each row by the row's position, in place.</summary>
    /// <param name="rows">[tokens, any].</param>
    /// <param name="cos">Table [positions, 1, half] of float32, like <paramref name="sin"/>.</param>
    public abstract void Rotate(Tensor rows, int heads, Tensor cos, Tensor sin);

    /// <summary>Copies the step's keys and values, [tokens, .. | kv heads x size | kv heads x size], to their
    /// pages.</summary>
    public abstract void WriteCache(Tensor rows, Tensor pages);

    /// <summary>Attention of a group of single tokens over the pages of their sequences.</summary>
    /// <param name="rows">[tokens, ..] with the queries first.</param>
    /// <param name="result">[tokens, query heads x size]; the group's rows are written.</param>
    public abstract void Attend(AttentionGroup group, Tensor rows, Tensor pages, int window, Tensor result);
}

internal sealed unsafe class CpuKernels<T>(StageContext stage, CpuWorkers workers) : CpuKernels
    where T : struct, ICpuElement
{
    /// <summary>Elements of work below which another thread is not worth waking.</summary>
    private const long ParallelWorkMin = 1 << 17;

    /// <summary>Pieces of a loop for each thread, so that one that the system held up leaves its rest to
    /// others.</summary>
    private const int PiecesEach = 4;

    private readonly HeadPart _heads = stage.Heads;
    private readonly CpuAttention<T> _attention = new(stage.Heads.KvHeads, stage.Heads.HeadSize);

    public override void RmsNorm(Tensor values, Tensor weight, float epsilon, Tensor result)
    {
        long rows = values.shape[0], width = values.shape[1];
        var (from, scale, to) = (Address(values), Address(weight), Address(result));
        ForEach(rows, rows * width, row =>
        {
            var x = (float*)from + (row * width);
            Vector256<float> squares = default;
            for (long i = 0; i < width; i += 8)
            {
                var value = Vector256.Load(x + i);
                squares += value * value;
            }

            var factor = Vector256.Create(1 / MathF.Sqrt((Vector256.Sum(squares) / width) + epsilon));
            for (long i = 0; i < width; i += 8)
            {
                var normed = Vector256.Load(x + i) * factor;
                T.Store((void*)to, (row * width) + i, normed * Vector256.Load((float*)scale + i));
            }
        });
    }

    public override void SiluMultiply(Tensor gate, Tensor values)
    {
        // Rows need not be multiples of the vector's width, the whole is.
        var isEven = values.shape[1] % 8 == 0;
        var (rows, width) = isEven ? (values.shape[0], values.shape[1]) : (1, values.NumberOfElements);
        var (gates, products) = (Address(gate), Address(values));
        ForEach(rows, rows * width * 4, row =>
        {
            for (long i = 0; i < width; i += 8)
            {
                var at = (row * width) + i;
                var x = T.Load((void*)gates, at);
                var silu = x / (Vector256<float>.One + Vector256.Exp(-x));
                T.Store((void*)products, at, silu * T.Load((void*)products, at));
            }
        });
    }

    public override void Rotate(Tensor rows, int heads, Tensor cos, Tensor sin)
    {
        long stride = rows.shape[1], half = cos.shape[2], size = _heads.HeadSize;
        var (data, cosines, sines) = (Address(rows), Address(cos), Address(sin));
        var batch = stage.Batch;
        ForEach(rows.shape[0], rows.shape[0] * heads * half, row =>
        {
            var position = batch.PositionOf((int)row);
            var c = (float*)cosines + (position * half);
            var s = (float*)sines + (position * half);
            for (long head = 0, at = row * stride; head < heads; head++, at += size)
            {
                for (long i = 0; i < half; i += 8)
                {
                    var first = T.Load((void*)data, at + i);
                    var second = T.Load((void*)data, at + half + i);
                    var (turnCos, turnSin) = (Vector256.Load(c + i), Vector256.Load(s + i));
                    T.Store((void*)data, at + i, (first * turnCos) - (second * turnSin));
                    T.Store((void*)data, at + half + i, (second * turnCos) + (first * turnSin));
                }
            }
        });
    }

    public override void WriteCache(Tensor rows, Tensor pages)
    {
        var stride = rows.shape[1];
        var headBytes = _heads.HeadSize * T.Bytes;
        var source = (byte*)TensorMemory.Pointer(rows);
        var target = (byte*)TensorMemory.Pointer(pages);
        for (var row = 0; row < rows.shape[0]; row++)
        {
            var (page, offset) = stage.Batch.SlotOf(row);
            var from = source + (((row * stride) + _heads.QueryWidth) * T.Bytes);
            for (var head = 0; head < 2 * _heads.KvHeads; head++)
            {
                var slot = (((page * 2 * _heads.KvHeads) + head) * KvPage.Tokens) + offset;
                Unsafe.CopyBlockUnaligned(target + (slot * headBytes), from + (head * headBytes), (uint)headBytes);
            }
        }
    }

    public override void Attend(AttentionGroup group, Tensor rows, Tensor pages, int window, Tensor result)
    {
        var stride = rows.shape[1];
        var (data, cache, to) = (Address(rows), Address(pages), Address(result));
        var batch = stage.Batch;
        var heads = _heads.QueryHeads;
        var work = (long)group.Rows * heads * group.Length * _heads.HeadSize;
        ForEach((long)group.Rows * heads, work, index =>
        {
            var (sequence, head) = ((int)(index / heads), (int)(index % heads));
            var row = group.FirstRow + sequence;
            var last = batch.PositionOf(row);
            var query = new CpuQuery(
                (void*)data, (row * stride) + (head * _heads.HeadSize),
                batch.PagesOf(group, sequence), _heads.KvHeadOfQuery[head],
                window > 0 ? (int)Math.Max(0, last - window + 1) : 0, (int)last + 1);
            _attention.Attend(query, (void*)cache, (void*)to, (row * _heads.QueryWidth) + (head * _heads.HeadSize));
        });
    }

    private void ForEach(long count, long work, Action<long> body)
    {
        if (workers.Count == 1 || count == 1 || work < ParallelWorkMin)
        {
            for (long i = 0; i < count; i++) body(i);
            return;
        }

        var pieces = (int)Math.Min(count, workers.Count * PiecesEach);
        workers.Run(pieces, piece =>
        {
            for (var i = count * piece / pieces; i < count * (piece + 1) / pieces; i++) body(i);
        });
    }

    private static nint Address(Tensor tensor) => (nint)TensorMemory.Pointer(tensor);
}
