using System.Runtime.InteropServices;

namespace SpotServe.Actors.Vocabulary;

/// <summary>
/// How the next token of a sequence is drawn. Blittable: travels in a step plan as it lies in memory.
/// </summary>
/// <param name="Temperature">0 is greedy.</param>
/// <param name="TopP">Smallest set of likeliest tokens with at least this probability; 1 is all of them.</param>
/// <param name="TopK">At most this many likeliest tokens; 0 is all of them.</param>
/// <param name="Seed">Key of the counter-based generator; the counter is the token's position, so that layout,
/// batch and history do not matter.</param>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public readonly record struct SamplingParameters(float Temperature, float TopP, int TopK, ulong Seed)
{
    public static SamplingParameters Greedy => new(0, 1, 0, 0);
}

/// <summary>Added to a token's logit; negative infinity bars it. Blittable.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public readonly record struct TokenBias(int Token, float Bias);

/// <summary>How a chunk's logits are changed before its token is drawn, as numbers of fixed size. Blittable.</summary>
/// <param name="MinP">Tokens less likely than this share of the likeliest are left out; 0 for none.</param>
/// <param name="Presence">Taken from the logit of each token that was generated.</param>
/// <param name="Frequency">Taken from a token's logit each time that it was generated.</param>
/// <param name="Repetition">Logits of all tokens of prompt and completion are divided by it where they are positive,
/// and else multiplied with it; 1 for none.</param>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public readonly record struct LogitPenalties(float MinP, float Presence, float Frequency, float Repetition)
{
    public static LogitPenalties None => new(0, 0, 0, 1);

    public bool AreSane => MinP is >= 0 and <= 1 && float.IsFinite(Presence) && float.IsFinite(Frequency)
        && float.IsFinite(Repetition) && Repetition > 0;
}
