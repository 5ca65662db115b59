using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace SpotServe.Actors.Vocabulary;

/// <summary>A token and its natural-log probability. Blittable.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public readonly record struct TopToken(int Token, float Logprob);

/// <summary>
/// What the model said of a token: log-probabilities of its logits as they came from the model, before temperature,
/// penalties and bias, so that they do not depend on how the token was drawn.
/// </summary>
/// <param name="Logprob">Of the drawn token, or of the prompt's token that stands there.</param>
/// <param name="Top">The likeliest tokens, likeliest first, of equal ones the lower id first; as many as were asked
/// for.</param>
public sealed record TokenLogprobs(float Logprob, ImmutableArray<TopToken> Top)
{
    /// <summary>Most alternatives that can be asked for; OpenAI's limit.</summary>
    public const int TopMax = 20;

    /// <summary>Most log-probabilities of one prompt, alternatives included: they are kept with the request, and travel
    /// in one message.</summary>
    public const int PromptMax = 32_768;

    /// <summary>1 where the token is the likeliest, 2 for the next one; known of a prompt's tokens only.</summary>
    public int? Rank { get; init; }

    /// <summary>Upper bound of what one takes in a message, in bytes.</summary>
    internal static long BytesMax(int top) => 40 + (32L * top);

    public bool Equals(TokenLogprobs? other) => other is not null && Logprob.Equals(other.Logprob)
        && Rank == other.Rank && Top.AsSpan().SequenceEqual(other.Top.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Logprob, Top.Length);
}
