using System.Runtime.InteropServices;

namespace SpotServe.Actors.Execution;

/// <summary>A token that a sequence has, and how often it was generated; 0 times when only its prompt has it.
/// Blittable.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public readonly record struct SeenToken(int Token, int Generated);

/// <summary>
/// What a chunk's draw needs besides <see cref="SamplingParameters"/>, as it travels in a step plan: penalties, the
/// tokens that they are for, biases, and how many log-probabilities are wanted. All of it is in the plan, so that a
/// sampler keeps nothing of a sequence and draws the same on whichever device the next step runs. Empty for most
/// requests.
/// </summary>
/// <remarks>Layout in ints: <see cref="LogitPenalties"/> (4), log-probabilities wanted (1 + alternatives; 0 for none),
/// count of seen tokens, count of biases; then both lists, two ints each.</remarks>
public readonly ref struct DrawShape(ReadOnlySpan<int> data)
{
    private const int HeadInts = 7;

    /// <summary>Most biases of a chunk: OpenAI's 300, and the stop tokens that are barred at first.</summary>
    public const int BiasesMax = 2048;

    private readonly ReadOnlySpan<int> _data = data;

    /// <summary>Whether the token is drawn from the logits as they are, and nothing else is wanted.</summary>
    public bool IsPlain => _data.IsEmpty;

    public LogitPenalties Penalties =>
        IsPlain ? LogitPenalties.None : MemoryMarshal.Cast<int, LogitPenalties>(_data[..4])[0];

    /// <summary>Alternatives that are wanted beside the drawn token's log-probability; null for neither.</summary>
    public int? TopLogprobs => IsPlain || _data[4] == 0 ? null : _data[4] - 1;

    public ReadOnlySpan<SeenToken> Seen =>
        IsPlain ? [] : MemoryMarshal.Cast<int, SeenToken>(_data.Slice(HeadInts, 2 * _data[5]));

    public ReadOnlySpan<TokenBias> Biases =>
        IsPlain ? [] : MemoryMarshal.Cast<int, TokenBias>(_data.Slice(HeadInts + (2 * _data[5]), 2 * _data[6]));

    /// <summary>Writes a shape.</summary>
    /// <param name="into">Cleared first.</param>
    public static void Write(
        List<int> into, LogitPenalties penalties, int? topLogprobs, IReadOnlyDictionary<int, int>? seen,
        ReadOnlySpan<TokenBias> biases)
    {
        into.Clear();
        into.AddRange(MemoryMarshal.Cast<LogitPenalties, int>(new ReadOnlySpan<LogitPenalties>(in penalties)));
        into.Add(topLogprobs + 1 ?? 0);
        into.Add(seen?.Count ?? 0);
        into.Add(biases.Length);
        foreach (var (token, generated) in seen ?? new Dictionary<int, int>())
        {
            into.Add(token);
            into.Add(generated);
        }

        into.AddRange(MemoryMarshal.Cast<TokenBias, int>(biases));
    }

    /// <summary>Most ints that a shape takes.</summary>
    internal static long IntsMax(int contextMax) => HeadInts + (2L * contextMax) + (2L * BiasesMax);

    /// <summary>What is wrong with a shape off the network, or null.</summary>
    internal static string? Violation(ReadOnlySpan<int> data, int contextMax, int vocabularySize)
    {
        if (data.IsEmpty) return null;
        if (data.Length < HeadInts) return $"a draw's shape of {data.Length} numbers";
        var (top, seen, biases) = (data[4], data[5], data[6]);
        if (top < 0 || top > TokenLogprobs.TopMax + 1) return $"a draw that wants {top - 1} log-probabilities";
        if (seen < 0 || seen > contextMax || biases < 0 || biases > BiasesMax
            || data.Length != HeadInts + (2 * (seen + biases)))
        {
            return $"a draw's shape of {data.Length} numbers with {seen} tokens and {biases} biases";
        }

        var shape = new DrawShape(data);
        if (!shape.Penalties.AreSane) return $"a draw with {shape.Penalties}";
        foreach (var (token, generated) in shape.Seen)
        {
            if ((uint)token >= (uint)vocabularySize || generated < 0) return $"a draw that has seen token {token}";
        }

        foreach (var (token, bias) in shape.Biases)
        {
            if ((uint)token >= (uint)vocabularySize || float.IsNaN(bias) || float.IsPositiveInfinity(bias))
                return $"a draw with bias {bias} for token {token}";
        }

        return null;
    }
}
