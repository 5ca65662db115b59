using SpotServe.Actors.Gateway;
using SpotServe.Actors.Requests;
using SpotServe.Seed.Tokenization;

namespace SpotServe.Seed.Api;

/// <summary>Finds stop strings in the tokens of requests that nobody reads, in the text that a reader would
/// see.</summary>
internal sealed class StopTokenSearch(ITokenizer tokenizer, GenerationSpec spec) : IStopSearch
{
    private readonly CompletionText _text = new(tokenizer, RequestDescription.Of(default, spec));

    public bool Push(int token)
    {
        _text.Push(token);
        return _text.Stopped;
    }
}
