using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.Scheduling;

/// <summary>Where a sequence is in its life. Exactly one at a time.</summary>
public enum SequencePhase
{
    /// <summary>Holds no pages: newly submitted, or suspended with its tokens kept.</summary>
    Waiting,

    /// <summary>Holds pages for all its tokens; some are not in the cache yet.</summary>
    Prefill,

    /// <summary>All tokens but the last are in the cache.</summary>
    Decode,

    /// <summary>Cancelled while in a step; its pages go free when that step completes.</summary>
    Cancelled,

    /// <summary>Over; holds no pages.</summary>
    Finished,
}

/// <summary>
/// A request as its replica runs it: all tokens so far, and which pages hold the cached ones. Spec, tokens,
/// <see cref="CachedTokens"/> and <see cref="Pages"/> are all that another replica needs to go on with it.
/// Only the scheduler changes it.
/// </summary>
public sealed class Sequence
{
    private readonly List<int> _tokens;
    private readonly List<TokenLogprobs>? _logprobs;
    private readonly List<TokenLogprobs>? _promptLogprobs;
    private readonly Dictionary<int, int>? _seen;

    internal Sequence(GenerationRequest request, long ticket, SchedulerLimits limits)
    {
        Invariant.Holds(ticket > 0);
        Id = request.Id;
        Ticket = ticket;
        Spec = request.Spec;
        PromptCount = Spec.Prompt.Length;
        SubmittedCount = request.Committed.Length;
        TokensEnd = (int)Math.Min((long)PromptCount + Parameters.TokensMax, limits.ContextMax);
        IsNewcomer = request.Committed.IsEmpty;
        RunsAlone = AwaitsPermit = request.RunsAlone;
        _tokens = new List<int>(PromptCount + SubmittedCount + KvPage.Tokens);
        _tokens.AddRange(Spec.Prompt.AsSpan());
        _tokens.AddRange(request.Committed.AsSpan());
        if (Parameters.TopLogprobs is not null) _logprobs = [];
        // Whoever has tokens of it already has these, too.
        if (Parameters.PromptLogprobs is not null && SubmittedCount == 0) _promptLogprobs = [];
        if (HasPenalties) _seen = CountTokens();
        Cuts = PromptCuts.Of(Spec, limits.PrefillChunkTokensMax);
        Keys = limits.PrefixRoot is { } root ? Cuts.Keys(root, Spec.Prompt.AsSpan()) : [];
        // Passed by the step after its prefill.
        ApartUntil = request.RunsAlone ? _tokens.Count : null;
    }

    public RequestId Id { get; }

    /// <summary>Order of arrival, from 1; since it first got pages, the order in which sequences did.</summary>
    public long Ticket { get; internal set; }

    /// <summary>It has no tokens and never had pages: when its turn is, is a matter of fairness. Of the others the
    /// order is fixed.</summary>
    public bool IsNewcomer { get; internal set; }

    /// <summary>Where it waits as a newcomer.</summary>
    internal FairQueue<Sequence>.Place? Place { get; set; }

    /// <summary>What its client was charged with when it ceased to be one, until it is over.</summary>
    internal FairQueue<Sequence>.Charge? Charge { get; set; }

    public SequencePhase Phase { get; internal set; }

    public GenerationSpec Spec { get; }

    public GenerationParameters Parameters => Spec.Parameters;

    public SamplingParameters Sampling => Parameters.Sampling;

    public SequenceMarks Marks { get; } = new();

    public int PromptCount { get; }

    /// <summary>Generated tokens that came with the request.</summary>
    public int SubmittedCount { get; }

    /// <summary>Length, prompt included, at which it ends with <see cref="FinishReason.Length"/>.</summary>
    public int TokensEnd { get; }

    public int TokenCount => _tokens.Count;

    public int GeneratedCount => _tokens.Count - PromptCount;

    /// <summary>Prompt and generated tokens.</summary>
    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    public ReadOnlySpan<int> Prompt => Tokens[..PromptCount];

    public ReadOnlySpan<int> Generated => Tokens[PromptCount..];

    /// <summary>Tokens, from position 0 on, whose keys and values completed steps have put into the pages.</summary>
    public int CachedTokens { get; internal set; }

    /// <summary>Tokens that were in a cache at some time, here or at a replica before: computing them once more is the
    /// price of having lost them.</summary>
    internal int CachedBefore { get; set; }

    /// <summary>Tokens of its prompt that it took from pages of others, or of its own kept ones, before its first token
    /// here, instead of computing them.</summary>
    public int ReusedTokens { get; internal set; }

    internal PromptCuts Cuts { get; }

    /// <summary>Keys of its prompt's full pages; none where no pages are kept.</summary>
    internal PrefixKey[] Keys { get; }

    /// <summary>All of its prompt so far was cut where prompts are cut, so that others may use its pages.</summary>
    internal bool KeepsPages { get; set; } = true;

    /// <summary>It has said which pages it computes.</summary>
    internal bool IsClaiming { get; set; }

    /// <summary>How often it has got pages. Between two different values its pages were others'.</summary>
    public int Residence { get; internal set; }

    /// <summary>Tokens that the step in flight adds to the cache; 0 when it is in none.</summary>
    public int TokensInFlight { get; internal set; }

    public bool IsInFlight => TokensInFlight > 0;

    /// <summary>Whether the step in flight draws a token for it.</summary>
    public bool SamplesInFlight { get; internal set; }

    /// <summary>How many tokens of its prompt the step in flight scores.</summary>
    internal int ScoresInFlight { get; set; }

    /// <summary>It runs apart from others until more tokens than these are in the cache; null when it runs with
    /// all.</summary>
    internal int? ApartUntil { get; set; }

    /// <summary>It came to be run alone, and has not got on far enough yet.</summary>
    internal bool RunsAlone { get; set; }

    /// <summary>It runs in no step before it is permitted.</summary>
    internal bool AwaitsPermit { get; set; }

    /// <summary>Page table: position p lies in page [p / 16], slot p mod 16.</summary>
    public ReadOnlySpan<int> Pages => CollectionsMarshal.AsSpan(PageList);

    internal List<int> PageList { get; } = [];

    internal Sequence? Next { get; set; }

    internal Sequence? Previous { get; set; }

    internal SequenceList? Container { get; set; }

    internal bool IsStop(int token) => Parameters.StopTokens.AsSpan().Contains(token);

    /// <summary>Why nothing is left to generate, or null.</summary>
    internal FinishReason? Ending =>
        GeneratedCount > 0 && IsStop(_tokens[^1]) ? FinishReason.Stop
        : TokenCount >= TokensEnd ? FinishReason.Length
        : null;

    /// <summary>Log-probabilities of the last so many generated tokens: of those that were not committed elsewhere
    /// before they came here. None where none are wanted.</summary>
    public ReadOnlySpan<TokenLogprobs> Logprobs => CollectionsMarshal.AsSpan(_logprobs);

    /// <summary>Log-probabilities of the prompt's tokens from the second on, as far as they are computed. None where
    /// none are wanted, or where the request came with tokens.</summary>
    public ReadOnlySpan<TokenLogprobs> PromptLogprobs => CollectionsMarshal.AsSpan(_promptLogprobs);

    /// <summary>Its prompt has yet to be scored, so that each of its tokens has to be computed.</summary>
    internal bool NeedsScores => _promptLogprobs is { } scored && scored.Count < PromptCount - 1;

    private bool HasPenalties => Parameters.Penalties with { MinP = 0 } != LogitPenalties.None;

    /// <summary>Writes what the next draw needs besides its sampling; nothing for most requests. Made of the tokens
    /// alone, so that a request goes on the same way wherever it goes on.</summary>
    internal void WriteShape(List<int> into)
    {
        into.Clear();
        if (Parameters.IsPlain) return;
        DrawShape.Write(into, Parameters.Penalties, Parameters.TopLogprobs, _seen, NextBiases());
    }

    /// <summary>Takes in the scores of a chunk.</summary>
    /// <param name="start">Where the chunk began. One that was suspended is computed again from its start; what it was
    /// told first stays.</param>
    internal void TakeScores(int start, ReadOnlySpan<TokenLogprobs> scores)
    {
        if (scores.IsEmpty) return;
        Invariant.Holds(_promptLogprobs is not null && _promptLogprobs.Count >= start);
        _promptLogprobs.AddRange(scores[Math.Min(_promptLogprobs.Count - start, scores.Length)..]);
        Invariant.Holds(_promptLogprobs.Count < PromptCount);
    }

    internal void Append(int token, TokenLogprobs? logprobs)
    {
        _tokens.Add(token);
        if (_seen is not null) _seen[token] = _seen.GetValueOrDefault(token) + 1;
        if (_logprobs is null) return;
        Invariant.Holds(logprobs is not null, "a step brings the log-probabilities that it was asked for");
        _logprobs.Add(logprobs);
    }

    /// <summary>Takes over what another replica had of the last generated tokens.</summary>
    internal void TakeOver(ReadOnlySpan<TokenLogprobs> logprobs)
    {
        Invariant.Holds(logprobs.Length <= GeneratedCount);
        _logprobs?.AddRange(logprobs);
    }

    private Dictionary<int, int> CountTokens()
    {
        var seen = new Dictionary<int, int>();
        // Only the penalty for repetition is for tokens of the prompt as well.
        if (Parameters.Penalties.Repetition != 1)
        {
            foreach (var token in Prompt) seen[token] = 0;
        }

        foreach (var token in Generated) seen[token] = seen.GetValueOrDefault(token) + 1;
        return seen;
    }

    private ReadOnlySpan<TokenBias> NextBiases()
    {
        if (GeneratedCount >= Parameters.TokensMin) return Parameters.Biases.AsSpan();
        List<TokenBias> biases = [.. Parameters.Biases];
        foreach (var stop in Parameters.StopTokens) biases.Add(new TokenBias(stop, float.NegativeInfinity));
        return CollectionsMarshal.AsSpan(biases);
    }

    /// <summary>
    /// True when this one keeps its pages rather than the other. Requests continued from another replica come first,
    /// the most advanced ahead, then the order in which they first got pages. It is fixed from then on, on purpose: in
    /// an order that moved with the tokens, two sequences could overtake and suspend each other in turn.
    /// </summary>
    internal bool IsSeniorTo(Sequence other) =>
        SubmittedCount != other.SubmittedCount ? SubmittedCount > other.SubmittedCount
        : IsNewcomer != other.IsNewcomer ? other.IsNewcomer
        : Ticket < other.Ticket;
}
