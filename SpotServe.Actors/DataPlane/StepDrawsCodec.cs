using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// What a step drew as bytes: a token for each sampling chunk (4 each); then, for each of them that has
/// log-probabilities, its index, their count, its rank (0 where that is not known), the token's own, and token and
/// log-probability of each alternative (4 bytes each, little-endian). Those of prompts' tokens follow, with indices
/// that go on from the drawn ones.
/// </summary>
internal static class StepDrawsCodec
{
    private const int EntryInts = 4;

    /// <summary>Longest encoded result of a step with so many chunks and so many rows that score a prompt's
    /// token.</summary>
    public static int BytesMax(int chunksMax, int scoredMax) => checked((chunksMax * sizeof(int))
        + ((chunksMax + scoredMax)
            * ((EntryInts * sizeof(int)) + (TokenLogprobs.TopMax * Unsafe.SizeOf<TopToken>()))));

    /// <param name="buffer">Grown when it is too short; the result lies in it.</param>
    public static ReadOnlySpan<byte> Encode(StepDraws draws, ref byte[] buffer)
    {
        var max = BytesMax(draws.Count, draws.Scores.Length);
        if (buffer.Length < max) buffer = new byte[max];
        var into = MemoryMarshal.Cast<byte, int>(buffer.AsSpan());
        draws.Tokens.CopyTo(into);
        var at = draws.Count;
        for (var i = 0; i < draws.Count + draws.Scores.Length; i++)
        {
            var one = i < draws.Count ? draws.Logprobs[i] : draws.Scores[i - draws.Count];
            if (one is not { } logprobs) continue;
            Invariant.Holds(logprobs.Top.Length <= TokenLogprobs.TopMax);
            into[at++] = i;
            into[at++] = logprobs.Top.Length;
            into[at++] = logprobs.Rank ?? 0;
            into[at++] = BitConverter.SingleToInt32Bits(logprobs.Logprob);
            var top = MemoryMarshal.Cast<TopToken, int>(logprobs.Top.AsSpan());
            top.CopyTo(into[at..]);
            at += top.Length;
        }

        return buffer.AsSpan(0, at * sizeof(int));
    }

    /// <param name="sampleCount">Tokens that the step draws.</param>
    /// <param name="scoredCount">Tokens of prompts that it scores.</param>
    /// <param name="result">Null when the bytes are none of such a step.</param>
    /// <returns>What is wrong with them, or null.</returns>
    public static string? Decode(
        ReadOnlySpan<byte> bytes, long step, int sampleCount, int scoredCount, int vocabularySize,
        out StepResult? result)
    {
        result = null;
        if (bytes.Length % sizeof(int) != 0 || bytes.Length < sampleCount * sizeof(int))
            return $"{bytes.Length} bytes for {sampleCount} tokens";
        var from = MemoryMarshal.Cast<byte, int>(bytes);
        foreach (var token in from[..sampleCount])
        {
            if ((uint)token >= (uint)vocabularySize) return $"token {token}; there are {vocabularySize}";
        }

        var drawn = new StepResult(step, [.. from[..sampleCount]]);
        result = drawn;
        var rest = from[sampleCount..];
        if (rest.IsEmpty && scoredCount == 0) return null;
        result = null;
        var logprobs = new TokenLogprobs?[sampleCount + scoredCount];
        while (!rest.IsEmpty)
        {
            if (!TryRead(ref rest, logprobs, vocabularySize)) return "log-probabilities of no token";
        }

        if (logprobs.AsSpan(sampleCount).Contains(null)) return $"too few log-probabilities for {scoredCount} tokens";
        if (logprobs.AsSpan(0, sampleCount).ContainsAnyExcept((TokenLogprobs?)null))
            drawn = drawn with { Logprobs = [.. logprobs.AsSpan(0, sampleCount)] };
        if (scoredCount > 0) drawn = drawn with { Scores = [.. logprobs.Skip(sampleCount).Select(one => one!)] };

        result = drawn;
        return null;
    }

    private static bool TryRead(ref ReadOnlySpan<int> from, TokenLogprobs?[] into, int vocabularySize)
    {
        if (from.Length < EntryInts) return false;
        var (sample, count) = (from[0], from[1]);
        if ((uint)sample >= (uint)into.Length || into[sample] is not null) return false;
        if (count < 0 || count > TokenLogprobs.TopMax || from.Length < EntryInts + (2 * count)) return false;
        if (from[2] < 0 || from[2] > vocabularySize) return false;
        var top = MemoryMarshal.Cast<int, TopToken>(from.Slice(EntryInts, 2 * count));
        foreach (var one in top)
        {
            if ((uint)one.Token >= (uint)vocabularySize) return false;
        }

        into[sample] = new TokenLogprobs(BitConverter.Int32BitsToSingle(from[3]), [.. top])
        {
            Rank = from[2] == 0 ? null : from[2],
        };
        from = from[(EntryInts + (2 * count))..];
        return true;
    }
}
