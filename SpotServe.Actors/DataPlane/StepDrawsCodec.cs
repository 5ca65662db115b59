using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// What a step drew as bytes: a token for each sampling chunk (4 each); then, for each of them that has
/// log-probabilities, its index, their count, the token's own, and token and log-probability of each alternative (4
/// bytes each, little-endian).
/// </summary>
internal static class StepDrawsCodec
{
    private const int EntryBytes = 3 * sizeof(int);

    /// <summary>Longest encoded result of a step with so many chunks.</summary>
    public static int BytesMax(int chunksMax) => checked(
        chunksMax * (sizeof(int) + EntryBytes + (TokenLogprobs.TopMax * Unsafe.SizeOf<TopToken>())));

    /// <param name="buffer">Grown when it is too short; the result lies in it.</param>
    public static ReadOnlySpan<byte> Encode(StepDraws draws, ref byte[] buffer)
    {
        var max = BytesMax(draws.Count);
        if (buffer.Length < max) buffer = new byte[max];
        var into = MemoryMarshal.Cast<byte, int>(buffer.AsSpan());
        draws.Tokens.CopyTo(into);
        var at = draws.Count;
        for (var sample = 0; sample < draws.Count; sample++)
        {
            if (draws.Logprobs[sample] is not { } logprobs) continue;
            Invariant.Holds(logprobs.Top.Length <= TokenLogprobs.TopMax);
            into[at++] = sample;
            into[at++] = logprobs.Top.Length;
            into[at++] = BitConverter.SingleToInt32Bits(logprobs.Logprob);
            var top = MemoryMarshal.Cast<TopToken, int>(logprobs.Top.AsSpan());
            top.CopyTo(into[at..]);
            at += top.Length;
        }

        return buffer.AsSpan(0, at * sizeof(int));
    }

    /// <param name="sampleCount">Tokens that the step draws.</param>
    /// <param name="result">Null when the bytes are none of such a step.</param>
    /// <returns>What is wrong with them, or null.</returns>
    public static string? Decode(
        ReadOnlySpan<byte> bytes, long step, int sampleCount, int vocabularySize, out StepResult? result)
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
        var rest = from[sampleCount..];
        if (!rest.IsEmpty)
        {
            var logprobs = new TokenLogprobs?[sampleCount];
            while (!rest.IsEmpty)
            {
                if (!TryRead(ref rest, logprobs, vocabularySize)) return "log-probabilities of no token";
            }

            drawn = drawn with { Logprobs = ImmutableCollectionsMarshal.AsImmutableArray(logprobs) };
        }

        result = drawn;
        return null;
    }

    private static bool TryRead(ref ReadOnlySpan<int> from, TokenLogprobs?[] into, int vocabularySize)
    {
        if (from.Length < 3) return false;
        var (sample, count) = (from[0], from[1]);
        if ((uint)sample >= (uint)into.Length || into[sample] is not null) return false;
        if (count < 0 || count > TokenLogprobs.TopMax || from.Length < 3 + (2 * count)) return false;
        var top = MemoryMarshal.Cast<int, TopToken>(from.Slice(3, 2 * count));
        foreach (var one in top)
        {
            if ((uint)one.Token >= (uint)vocabularySize) return false;
        }

        into[sample] = new TokenLogprobs(BitConverter.Int32BitsToSingle(from[2]), [.. top]);
        from = from[(3 + (2 * count))..];
        return true;
    }
}
