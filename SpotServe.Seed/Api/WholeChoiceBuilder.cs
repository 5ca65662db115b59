using System.Collections.Immutable;
using System.Text;

namespace SpotServe.Seed.Api;

/// <summary>Puts a choice together of its pieces.</summary>
internal sealed class WholeChoiceBuilder(OpenChoice choice)
{
    private readonly StringBuilder _text = new(choice.Echo);
    private readonly List<TokenLogprobText> _logprobs = [];
    private ImmutableArray<TokenLogprobs> _prompt = [];
    private string? _finish;

    public int TokenCount { get; private set; }

    public int ReusedTokens { get; private set; }

    /// <param name="piece">None that is broken.</param>
    public void Add(CompletionPiece piece)
    {
        switch (piece)
        {
            case CompletionPiece.Token token:
                _text.Append(token.Text);
                if (token.Logprobs is not null) _logprobs.Add(token.Logprobs);
                break;
            case CompletionPiece.End end:
                _text.Append(end.Text);
                _finish = end.FinishReason;
                TokenCount = end.TokenCount;
                ReusedTokens = end.ReusedTokens;
                _prompt = end.PromptLogprobs;
                break;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    public WholeChoice Build()
    {
        Actors.Invariant.Holds(_finish is not null, "a completion's pieces end with its end");
        var wants = choice.Notes.Tail.Parameters.TopLogprobs is not null;
        var mean = _logprobs.Count == 0 ? double.NegativeInfinity : _logprobs.Average(one => (double)one.Logprob);
        return new WholeChoice(choice.Index, _text.ToString(), _finish, wants ? _logprobs : null, mean)
        {
            Prompt = choice.ScoredPrompt.IsEmpty
                ? null
                : new ScoredPrompt(choice.ScoredPrompt, _prompt, IsEchoed: wants && choice.Echo.Length > 0),
        };
    }
}
