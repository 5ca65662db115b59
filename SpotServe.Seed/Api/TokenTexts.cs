using System.Collections.Immutable;
using System.Text;
using SpotServe.Seed.Tokenization;

namespace SpotServe.Seed.Api;

/// <summary>A token of a completion with its log-probabilities, as text.</summary>
/// <param name="Bytes">Its UTF-8; null for a token that is part of a character only.</param>
/// <param name="Top">The likeliest tokens instead of it, likeliest first.</param>
internal sealed record TokenLogprobText(
    string Text, ImmutableArray<int>? Bytes, float Logprob, ImmutableArray<TokenLogprobText> Top);

/// <summary>The texts of single tokens, for clients that want log-probabilities.</summary>
internal sealed class TokenTexts(ITokenizer tokenizer)
{
    private const char Replacement = '\uFFFD';

    /// <summary>JSON knows no infinity: what OpenAI writes for a token that could not be drawn.</summary>
    private const float LogprobMin = -9999;

    public TokenLogprobText Of(int token, TokenLogprobs logprobs) => Of(
        token, logprobs.Logprob, [.. logprobs.Top.Select(top => Of(top.Token, top.Logprob, []))]);

    /// <summary>As it reads after other text: with the space that it begins with.</summary>
    public string TextOf(int token)
    {
        var decoder = tokenizer.ContinueDecoding([], hasMore: true, skipSpecialTokens: false);
        return decoder.Push(token) + decoder.Finish();
    }

    /// <summary>A log-probability as JSON can have it.</summary>
    public static float Finite(float logprob) => Math.Max(logprob, LogprobMin);

    private TokenLogprobText Of(int token, float logprob, ImmutableArray<TokenLogprobText> top)
    {
        var text = TextOf(token);
        ImmutableArray<int>? bytes = text.Contains(Replacement, StringComparison.Ordinal)
            ? null
            : [.. Encoding.UTF8.GetBytes(text).Select(one => (int)one)];
        return new TokenLogprobText(text, bytes, Finite(logprob), top);
    }
}
