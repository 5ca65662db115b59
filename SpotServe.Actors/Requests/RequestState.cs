using System.Collections.Immutable;
using System.Runtime.InteropServices;
using static SpotServe.Actors.Requests.RequestEvents;

namespace SpotServe.Actors.Requests;

/// <summary>What a request's journal says: pure, rebuilt by applying its events in order.</summary>
internal sealed class RequestState
{
    private readonly List<int> _tokens = [];
    private readonly List<TokenLogprobs> _logprobs = [];

    public RequestAccepted? Accepted { get; private set; }

    public RequestFinished? Finished { get; private set; }

    /// <summary>Committed tokens: persisted, never to change.</summary>
    public IReadOnlyList<int> Tokens => _tokens;

    /// <summary>Tokens of the prompt that were not computed for its first token, because kept pages held
    /// them.</summary>
    public int ReusedTokens { get; private set; }

    /// <summary>Of the prompt's tokens from the second on; empty while they are not known, or not wanted.</summary>
    public ImmutableArray<TokenLogprobs> PromptLogprobs { get; private set; } = [];

    /// <summary>What the losses of its replicas so far mean for its next attempt.</summary>
    public ReplayBudget Replays { get; private set; } = ReplayBudget.Full;

    /// <summary>True between acceptance and the end.</summary>
    public bool IsOpen => Accepted is not null && Finished is null;

    /// <exception cref="InvariantException">The journal contradicts itself.</exception>
    public void Apply(IRequestEvent happened)
    {
        switch (happened)
        {
            case RequestAccepted accepted:
                Invariant.Holds(Accepted is null);
                Accepted = accepted;
                break;
            case TokensCommitted committed:
                Invariant.Holds(IsOpen);
                Invariant.Holds(committed.FirstIndex == _tokens.Count);
                Invariant.Holds(committed.Logprobs.IsEmpty || committed.Logprobs.Length == committed.Tokens.Length);
                _tokens.AddRange(committed.Tokens.AsSpan());
                _logprobs.AddRange(committed.Logprobs.AsSpan());
                ReusedTokens += committed.ReusedTokens;
                if (committed.FirstIndex == 0) PromptLogprobs = committed.PromptLogprobs;
                Invariant.Holds(_logprobs.Count == 0 || _logprobs.Count == _tokens.Count);
                Replays = Replays.OnCommitted(_tokens.Count);
                break;
            case LossCounted lost:
                Invariant.Holds(IsOpen);
                Replays = Replays.OnLoss(_tokens.Count, lost.WasTogether);
                break;
            case TriedAlone:
                Invariant.Holds(IsOpen);
                Replays = Replays.OnAlone(_tokens.Count);
                break;
            case RequestFinished finished:
                Invariant.Holds(IsOpen);
                Finished = finished;
                break;
            default:
                throw new InvariantException($"unknown request event {happened.GetType().Name}");
        }
    }

    /// <summary>Committed tokens from an index on; empty when there are none yet.</summary>
    public ImmutableArray<int> TokensFrom(int index) =>
        index >= _tokens.Count ? [] : [.. CollectionsMarshal.AsSpan(_tokens)[Math.Max(0, index)..]];

    /// <summary>Theirs, from an index on; empty when the request wants none.</summary>
    public ImmutableArray<TokenLogprobs> LogprobsFrom(int index) =>
        index >= _logprobs.Count ? [] : [.. CollectionsMarshal.AsSpan(_logprobs)[Math.Max(0, index)..]];
}

/// <summary>
/// Tokens on their way into the journal, in order and without gaps. Generated tokens carry their index, so repeated
/// ones are recognised: they are dropped, whatever they say, because what is committed never changes.
/// </summary>
internal sealed class TokenIntake(int committedCount)
{
    private readonly List<int> _pending = [];
    private readonly List<TokenLogprobs> _logprobs = [];
    private int _next = committedCount;

    /// <summary>Index of the next token that is wanted.</summary>
    public int NextIndex => _next;

    public bool HasPending => _pending.Count > 0;

    /// <summary>Takes what is new of a run of tokens. False when tokens before it are missing.</summary>
    /// <param name="logprobs">One for each token, or none.</param>
    public bool Offer(int firstIndex, ImmutableArray<int> tokens, ImmutableArray<TokenLogprobs> logprobs)
    {
        if (firstIndex > _next) return false;
        var known = _next - firstIndex;
        if (known < logprobs.Length) _logprobs.AddRange(logprobs.AsSpan()[known..]);
        if (known >= tokens.Length) return true;
        var fresh = tokens.AsSpan()[known..];
        _pending.AddRange(fresh);
        _next += fresh.Length;
        return true;
    }

    /// <summary>Hands over all pending tokens for one journal write.</summary>
    public (ImmutableArray<int> Tokens, ImmutableArray<TokenLogprobs> Logprobs) Take()
    {
        ImmutableArray<int> tokens = [.. _pending];
        ImmutableArray<TokenLogprobs> logprobs = [.. _logprobs];
        _pending.Clear();
        _logprobs.Clear();
        return (tokens, logprobs);
    }
}
