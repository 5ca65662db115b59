using SpotServe.Actors.Gateway;
using SpotServe.Seed.Tokenization;

namespace SpotServe.Seed.Api;

/// <summary>
/// A completion's text, made of its tokens as they come: what reads on from the prompt, without stop tokens, up to the
/// first stop string. Stop strings are found here and nowhere else: the entity that ends a request and all who read it
/// look through this, so all see it stop at the same token.
/// </summary>
internal sealed class CompletionText(ITokenizer tokenizer, RequestDescription request)
{
    private readonly StreamingDecoder _decoder = tokenizer.ContinueDecoding(
        request.Tail.Prompt.AsSpan(),
        request.PromptTokens > request.Tail.Prompt.Length,
        !request.Tail.Parameters.ShowsSpecialTokens);

    private readonly StopFinder _stops = new(request.Tail.Parameters.Stops);

    /// <summary>True once a stop string was seen: the text is complete.</summary>
    public bool Stopped => _stops.Stopped;

    /// <summary>The text that is certain since this token; null for a stop token, which is no part of it.</summary>
    public string? Push(int token)
    {
        if (request.Tail.Parameters.StopTokens.Contains(token)) return null;
        return _stops.Push(_decoder.Push(token)) + _stops.Pass(_decoder.LeftOut(token));
    }

    /// <summary>What was held back, when no more tokens come.</summary>
    public string Finish()
    {
        var rest = _stops.Push(_decoder.Finish());
        return rest + _stops.Finish();
    }
}
