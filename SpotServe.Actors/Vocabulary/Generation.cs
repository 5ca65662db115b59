using System.Collections.Immutable;

namespace SpotServe.Actors.Vocabulary;

/// <summary>Name of a request, unique in the cluster, e.g. "cmpl-01hf...". Also its sharding key.</summary>
public readonly record struct RequestId(string Value)
{
    public override string ToString() => Value;
}

/// <summary>How a request's tokens are generated and made into text.</summary>
/// <param name="TokensMax">Tokens to generate at most, >= 1.</param>
/// <param name="StopTokens">Tokens that end the generation; the stop token itself is not part of the text.</param>
public sealed record GenerationParameters(
    int TokensMax, SamplingParameters Sampling, ImmutableArray<int> StopTokens)
{
    /// <summary>Texts that end the generation; they are not part of the text.</summary>
    public ImmutableArray<string> Stops { get; init; } = [];

    /// <summary>Whether special tokens are part of the text; else they are left out of it.</summary>
    public bool ShowsSpecialTokens { get; init; }

    /// <summary>Whether the stop text that ends the generation is part of the text after all.</summary>
    public bool IncludesStop { get; init; }

    /// <summary>Before so many tokens nothing stops it: stop tokens are not drawn, stop texts not looked for.</summary>
    public int TokensMin { get; init; }

    public LogitPenalties Penalties { get; init; } = LogitPenalties.None;

    /// <summary>Added to these tokens' logits; each token once.</summary>
    public ImmutableArray<TokenBias> Biases { get; init; } = [];

    /// <summary>Alternatives that are wanted with each token's log-probability, 0 to
    /// <see cref="TokenLogprobs.TopMax"/>; null where no log-probabilities are wanted.</summary>
    public int? TopLogprobs { get; init; }

    /// <summary>Alternatives that are wanted with the log-probability of each of the prompt's tokens but the first, 0
    /// to <see cref="TokenLogprobs.TopMax"/>; null where none are wanted of the prompt.</summary>
    public int? PromptLogprobs { get; init; }

    /// <summary>Whether tokens are drawn from the logits as they are, and nothing else is wanted of them.</summary>
    internal bool IsPlain => Penalties == LogitPenalties.None && Biases.IsEmpty && TokensMin == 0
        && TopLogprobs is null;
}

/// <summary>In which of OpenAI's forms a client asked for a completion, and gets it whenever it reads it.</summary>
public enum CompletionKind
{
    /// <summary>"text_completion", of /v1/completions.</summary>
    Text,

    /// <summary>"chat.completion", of /v1/chat/completions.</summary>
    Chat,
}

/// <summary>
/// All that a client asks for, made once at the HTTP edge and carried unchanged to the replica's scheduler: over
/// gateway, journal, entity and hand-overs. What comes to be known later (its id, its tokens, where it runs) stands
/// beside it.
/// </summary>
/// <param name="Prompt">Token ids, at least one. A long prompt travels in fragments, so that it is no case of its
/// own.</param>
public sealed record GenerationSpec(ImmutableArray<int> Prompt, GenerationParameters Parameters)
{
    public CompletionKind Kind { get; init; }

    /// <summary>Whose it is, and how it stands among others that wait.</summary>
    public Standing Standing { get; init; } = Standing.Anonymous;

    /// <summary>When it ends, finished or not; null for never. An instant, not a time from now: it is the same after a
    /// move to another control node.</summary>
    public DateTimeOffset? Deadline { get; init; }

    /// <summary>Whether other requests were made of the same prompt together with this one (n, best_of): it is then cut
    /// where they can share all that they have in common.</summary>
    public bool SharesPrompt { get; init; }

    /// <summary>The client's span in its trace (W3C traceparent), where that is recorded; else null.</summary>
    public string? TraceParent { get; init; }

    /// <summary>Upper bound of what it takes in a message, in bytes.</summary>
    internal long BytesMax => Fragments.SizeBounds.Tokens(Prompt.Length)
        + Fragments.SizeBounds.Tokens(Parameters.StopTokens.Length)
        + Parameters.Stops.Sum(Fragments.SizeBounds.Text) + (16L * Parameters.Biases.Length)
        + Fragments.SizeBounds.Text(TraceParent) + Fragments.SizeBounds.Text(Standing.Client);
}

/// <summary>What a replica is asked to generate, continuing after <paramref name="Committed"/>.</summary>
/// <param name="Committed">Tokens generated before, by this replica or another; none for a new request.</param>
public sealed record GenerationRequest(RequestId Id, GenerationSpec Spec, ImmutableArray<int> Committed)
{
    /// <summary>It runs in steps of its own until it has drawn two tokens, and only once its entity permits
    /// it.</summary>
    public bool RunsAlone { get; init; }
}

/// <summary>Why a generation ended.</summary>
public enum FinishReason
{
    /// <summary>A stop token was drawn.</summary>
    Stop,

    /// <summary>TokensMax or the model's context was reached.</summary>
    Length,

    /// <summary>The client went away or asked to stop.</summary>
    Cancelled,

    /// <summary>It cannot be continued; the error says why.</summary>
    Failed,

    /// <summary>Its deadline passed; the error says how far it had come.</summary>
    TimedOut,
}
