using System.Collections.Immutable;
using System.Globalization;

namespace SpotServe.Seed.Api;

/// <summary>Log-probabilities in a chat completion.</summary>
/// <param name="Refusal">Always null; clients expect the field.</param>
internal sealed record ChatLogprobsBody(IReadOnlyList<ChatTokenBody> Content, string? Refusal = null)
{
    public static ChatLogprobsBody Of(IReadOnlyList<TokenLogprobText> tokens) => new(
        [.. tokens.Select(one => new ChatTokenBody(
            one.Text, one.Logprob, one.Bytes,
            [.. one.Top.Select(top => new ChatTopTokenBody(top.Text, top.Logprob, top.Bytes))]))]);
}

/// <param name="Bytes">Null for a token that is part of a character only.</param>
internal sealed record ChatTokenBody(
    string Token, float Logprob, ImmutableArray<int>? Bytes, IReadOnlyList<ChatTopTokenBody> TopLogprobs);

internal sealed record ChatTopTokenBody(string Token, float Logprob, ImmutableArray<int>? Bytes);

/// <summary>Log-probabilities in a text completion.</summary>
/// <param name="TextOffset">Where each token begins in the choice's text, in UTF-16 units.</param>
internal sealed record TextLogprobsBody(
    IReadOnlyList<string> Tokens,
    IReadOnlyList<float?> TokenLogprobs,
    IReadOnlyList<Dictionary<string, float>?> TopLogprobs,
    IReadOnlyList<int> TextOffset)
{
    /// <summary>Of a choice's tokens behind those of its prompt, where this is echoed. The prompt's first has no
    /// log-probability: null.</summary>
    public static TextLogprobsBody Of(
        (string First, IReadOnlyList<TokenLogprobText> Others)? echo, IReadOnlyList<TokenLogprobText> tokens)
    {
        if (echo is not var (first, others)) return Of(tokens, 0);
        var rest = Of([.. others, .. tokens], first.Length);
        return new TextLogprobsBody(
            [first, .. rest.Tokens], [null, .. rest.TokenLogprobs], [null, .. rest.TopLogprobs],
            [0, .. rest.TextOffset]);
    }

    /// <param name="offset">Characters of the choice before the first of the tokens.</param>
    public static TextLogprobsBody Of(IReadOnlyList<TokenLogprobText> tokens, int offset)
    {
        var offsets = new List<int>(tokens.Count);
        foreach (var one in tokens)
        {
            offsets.Add(offset);
            offset += one.Text.Length;
        }

        return new TextLogprobsBody(
            [.. tokens.Select(one => one.Text)],
            [.. tokens.Select(one => (float?)one.Logprob)],
            [.. tokens.Select(TopOf)],
            offsets);
    }

    /// <summary>By text, and the drawn token among them, as OpenAI does; of tokens with one text the
    /// likeliest.</summary>
    private static Dictionary<string, float> TopOf(TokenLogprobText token)
    {
        var top = new Dictionary<string, float>();
        foreach (var one in token.Top) top.TryAdd(one.Text, one.Logprob);
        top.TryAdd(token.Text, token.Logprob);
        return top;
    }
}

/// <summary>What the model said of a token at a place of the prompt.</summary>
/// <param name="Rank">1 for the likeliest.</param>
internal sealed record PromptTokenBody(float Logprob, int Rank, string DecodedToken)
{
    /// <summary>By token id: the prompt's own token first, then the likeliest ones.</summary>
    public static IReadOnlyList<Dictionary<string, PromptTokenBody>?> Of(ScoredPrompt prompt, TokenTexts texts)
    {
        var bodies = new List<Dictionary<string, PromptTokenBody>?>(prompt.Tokens.Length) { null };
        for (var i = 0; i < prompt.Logprobs.Length; i++)
        {
            var one = prompt.Logprobs[i];
            var body = new Dictionary<string, PromptTokenBody>();
            Add(prompt.Tokens[i + 1], one.Logprob, one.Rank ?? 1);
            var rank = 0;
            foreach (var (token, logprob) in one.Top) Add(token, logprob, ++rank);
            bodies.Add(body);

            void Add(int token, float logprob, int at) => body.TryAdd(
                token.ToString(CultureInfo.InvariantCulture),
                new PromptTokenBody(TokenTexts.Finite(logprob), at, texts.TextOf(token)));
        }

        return bodies;
    }
}
