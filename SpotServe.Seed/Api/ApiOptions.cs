using System.Collections.Immutable;
using SpotServe.Actors;
using SpotServe.Actors.ModelFolder;
using SpotServe.Seed.Templating;
using SpotServe.Seed.Tokenization;

namespace SpotServe.Seed.Api;

/// <summary>The model as HTTP clients see it; registered beside <see cref="ApiOptions"/>.</summary>
/// <param name="Name">What clients call it.</param>
/// <param name="Defaults">What is done where a request does not say.</param>
public sealed record CompletionModel(string Name, ITokenizer Tokenizer, GenerationDefaults Defaults)
{
    /// <summary>Tokens that end a text unless the client ignores them.</summary>
    public ImmutableArray<int> StopTokens => Defaults.EndTokens;

    /// <summary>Makes prompts of conversations; null where the model's folder has none.</summary>
    internal ChatTemplate? ChatTemplate { get; init; }

    /// <summary>Tokens that the model has. Its tokenizer may know fewer, or more: those added to tokenizer.json alone,
    /// which no model can take.</summary>
    public int VocabularySize { get; init; } = Tokenizer.VocabularySize;
}

/// <summary>Bounds of the HTTP interface. Each is checked when it is set.</summary>
public sealed record ApiOptions
{
    private static readonly TimeSpan Longest = TimeSpan.FromHours(1);

    /// <summary>Most that <see cref="RequestTimeout"/> can be.</summary>
    public static readonly TimeSpan RequestTimeoutMax = TimeSpan.FromDays(1);

    /// <summary>Most bytes of a request's body; beyond it the answer is 413. As many token ids as a prompt may have
    /// fit, whatever they are.</summary>
    public int BodyBytesMax { get; init => field = Bounds.Between(value, 1024, 64 << 20); } = 2 << 20;

    public int PromptCharsMax { get; init => field = Bounds.Between(value, 1, 16 << 20); } = 400_000;

    public int PromptTokensMax { get; init => field = Bounds.Between(value, 1, 1 << 20); } = 131_072;

    /// <summary>Messages of a conversation.</summary>
    public int MessagesMax { get; init => field = Bounds.Between(value, 1, 65_536); } = 4096;

    /// <summary>Most tokens that a request may ask for.</summary>
    public int CompletionTokensMax { get; init => field = Bounds.Between(value, 1, 1 << 20); } = 131_072;

    /// <summary>Tokens generated when a request does not say; 16, as OpenAI does.</summary>
    public int CompletionTokensDefault { get; init => field = Bounds.Between(value, 1, 1 << 20); } = 16;

    /// <summary>Completions of one request: prompts times n, or best_of.</summary>
    public int ChoicesMax { get; init => field = Bounds.Between(value, 1, 1024); } = 128;

    public int StopsMax { get; init => field = Bounds.Between(value, 0, 64); } = 4;

    public int StopTokensMax { get; init => field = Bounds.Between(value, 0, 1024); } = 64;

    public int StopCharsMax { get; init => field = Bounds.Between(value, 1, 4096); } = 256;

    /// <summary>Completions and streams answered at once; beyond it the answer is 429.</summary>
    public int OpenResponsesMax { get; init => field = Bounds.Between(value, 1, 65_536); } = 1024;

    /// <summary>A request that is not complete after this long ends with an error; it may ask for less, not for
    /// more.</summary>
    public TimeSpan RequestTimeout
    {
        get;
        init => field = Bounds.Positive(value, RequestTimeoutMax);
    } = RequestTimeoutMax;

    /// <summary>A response that gets no token for this long ends with an error; the request goes on.</summary>
    public TimeSpan SilenceMax { get; init => field = Bounds.Positive(value, Longest); } = TimeSpan.FromMinutes(5);

    /// <summary>Most time that GET /v1/requests/{id} waits for what there is so far.</summary>
    public TimeSpan SnapshotWait { get; init => field = Bounds.Positive(value, Longest); } = TimeSpan.FromSeconds(2);

    /// <summary>Said in Retry-After when this process, not the cluster, is full.</summary>
    public TimeSpan RetryAfter { get; init => field = Bounds.Positive(value, Longest); } = TimeSpan.FromSeconds(2);
}
