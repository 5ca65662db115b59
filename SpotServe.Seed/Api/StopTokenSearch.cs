using System.Collections.Immutable;
using SpotServe.Actors.Requests;
using SpotServe.Seed.Tokenization;

namespace SpotServe.Seed.Api;

/// <summary>
/// Finds stop strings in tokens as <see cref="CompletionReader"/> does, for requests that nobody reads: both see the
/// same pieces, so both stop at the same token.
/// </summary>
internal sealed class StopTokenSearch(
    ITokenizer tokenizer, ImmutableArray<string> stops, ImmutableArray<int> skipped) : IStopSearch
{
    private readonly StreamingDecoder _decoder = tokenizer.StartDecoding(skipSpecialTokens: true);
    private readonly StopFinder _stops = new(stops);

    public bool Push(int token)
    {
        if (skipped.Contains(token)) return false;
        _stops.Push(_decoder.Push(token));
        return _stops.Stopped;
    }
}
