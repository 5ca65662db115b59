using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace SpotServe.Node.Engine.Cpu;

/// <summary>One query and the positions [First, End) of its sequence that it sees.</summary>
/// <param name="data">Elements, the query's from <paramref name="at"/> on.</param>
/// <param name="pages">Of the sequence, from its beginning.</param>
internal readonly unsafe ref struct CpuQuery(
    void* data, long at, ReadOnlySpan<long> pages, int kvHead, int first, int end)
{
    public void* Data { get; } = data;

    public long At { get; } = at;

    public ReadOnlySpan<long> Pages { get; } = pages;

    public int KvHead { get; } = kvHead;

    public int First { get; } = first;

    public int End { get; } = end;
}

/// <summary>Attention of one query head of one token over keys and values in pages, on the calling thread. What others
/// the step computes takes no part in it.</summary>
/// <param name="kvHeads">In a page: [2 (keys, values), kv heads, 16 tokens, head size].</param>
internal readonly unsafe struct CpuAttention<T>(int kvHeads, int headSize)
    where T : struct, ICpuElement
{
    /// <summary>Elements of a vector.</summary>
    private const int Lanes = 8;

    /// <summary>Elements of a value that are summed in registers in one pass over the positions.</summary>
    private const int Strip = 4 * Lanes;

    [ThreadStatic] private static float[]? _scores;

    /// <param name="cache">Pages.</param>
    /// <param name="result">The head's values go to its elements <paramref name="at"/> on.</param>
    public void Attend(in CpuQuery query, void* cache, void* result, long at)
    {
        // Whole vectors from the last multiple before the first position to the first one behind the last.
        int begin = query.First / Lanes * Lanes, length = ((query.End + Lanes - 1) / Lanes * Lanes) - begin;
        if (_scores is not { } buffer || buffer.Length < length) buffer = _scores = new float[length + 256];
        fixed (float* scores = buffer)
        {
            var largest = Score(query, cache, scores, begin, length);
            var share = 1 / Weigh(scores, length, largest);
            // As if they began at position 0.
            var weights = scores - begin;
            var i = 0;
            for (; i + Strip <= headSize; i += Strip) MixStrip(query, cache, weights, i, share, result, at);
            for (; i < headSize; i += Lanes) Mix(query, cache, weights, i, share, result, at);
        }
    }

    /// <returns>The largest score.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private float Score(in CpuQuery query, void* cache, float* scores, int begin, int length)
    {
        var wide = stackalloc float[headSize];
        var scale = Vector256.Create(1 / MathF.Sqrt(headSize));
        for (var i = 0; i < headSize; i += Lanes) Vector256.Store(T.Load(query.Data, query.At + i) * scale, wide + i);
        new Span<float>(scores, length).Fill(float.NegativeInfinity);
        var largest = float.NegativeInfinity;
        for (var position = query.First; position < query.End;)
        {
            var key = CacheAt(query, position, isValue: false);
            var end = PageEnd(query, position);
            for (; position < end; position++, key += headSize)
            {
                Vector256<float> even = default, odd = default;
                var i = 0;
                for (; i + (2 * Lanes) <= headSize; i += 2 * Lanes)
                {
                    even = Vector256.FusedMultiplyAdd(Vector256.Load(wide + i), T.Load(cache, key + i), even);
                    odd = Vector256.FusedMultiplyAdd(
                        Vector256.Load(wide + i + Lanes), T.Load(cache, key + i + Lanes), odd);
                }

                if (i < headSize)
                    even = Vector256.FusedMultiplyAdd(Vector256.Load(wide + i), T.Load(cache, key + i), even);
                var score = Vector256.Sum(even + odd);
                scores[position - begin] = score;
                largest = MathF.Max(largest, score);
            }
        }

        return largest;
    }

    /// <summary>Makes weights of scores.</summary>
    /// <returns>Their sum.</returns>
    private static float Weigh(float* scores, int length, float largest)
    {
        Vector256<float> total = default;
        var most = Vector256.Create(largest);
        for (var i = 0; i < length; i += Lanes)
        {
            var weight = Vector256.Exp(Vector256.Load(scores + i) - most);
            Vector256.Store(weight, scores + i);
            total += weight;
        }

        return Vector256.Sum(total);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void MixStrip(
        in CpuQuery query, void* cache, float* weights, int element, float share, void* result, long at)
    {
        Vector256<float> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (var position = query.First; position < query.End;)
        {
            var value = CacheAt(query, position, isValue: true) + element;
            var end = PageEnd(query, position);
            for (; position < end; position++, value += headSize)
            {
                var weight = Vector256.Create(weights[position]);
                sum0 = Vector256.FusedMultiplyAdd(weight, T.Load(cache, value), sum0);
                sum1 = Vector256.FusedMultiplyAdd(weight, T.Load(cache, value + Lanes), sum1);
                sum2 = Vector256.FusedMultiplyAdd(weight, T.Load(cache, value + (2 * Lanes)), sum2);
                sum3 = Vector256.FusedMultiplyAdd(weight, T.Load(cache, value + (3 * Lanes)), sum3);
            }
        }

        var factor = Vector256.Create(share);
        T.Store(result, at + element, sum0 * factor);
        T.Store(result, at + element + Lanes, sum1 * factor);
        T.Store(result, at + element + (2 * Lanes), sum2 * factor);
        T.Store(result, at + element + (3 * Lanes), sum3 * factor);
    }

    /// <summary>A vector that is left over by the strips.</summary>
    private void Mix(
        in CpuQuery query, void* cache, float* weights, int element, float share, void* result, long at)
    {
        Vector256<float> sum = default;
        for (var position = query.First; position < query.End; position++)
        {
            var value = CacheAt(query, position, isValue: true) + element;
            sum = Vector256.FusedMultiplyAdd(Vector256.Create(weights[position]), T.Load(cache, value), sum);
        }

        T.Store(result, at + element, sum * Vector256.Create(share));
    }

    /// <summary>End of the page that a position lies in, or of what the query sees.</summary>
    private static int PageEnd(in CpuQuery query, int position) =>
        Math.Min(query.End, ((position / KvPage.Tokens) + 1) * KvPage.Tokens);

    /// <summary>Element index of a position's key or value in the pages.</summary>
    private long CacheAt(in CpuQuery query, int position, bool isValue)
    {
        var page = query.Pages[position / KvPage.Tokens];
        var head = (((page * 2) + (isValue ? 1 : 0)) * kvHeads) + query.KvHead;
        return ((head * KvPage.Tokens) + (position % KvPage.Tokens)) * headSize;
    }
}
