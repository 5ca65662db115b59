using System.Collections.Immutable;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Api;

/// <summary>A request to the cluster whose completion is one of an answer's choices.</summary>
/// <param name="Echo">Text that the choice begins with.</param>
internal sealed record OpenChoice(int Index, RequestId Id, RequestDescription Notes, string Echo)
{
    /// <summary>Tokens of the prompt, where their log-probabilities are wanted of this request; else none.</summary>
    public ImmutableArray<int> ScoredPrompt { get; init; } = [];

    /// <summary>False where the client wants the prompt alone: the choice ends without a token.</summary>
    public bool ShowsGenerated { get; init; } = true;
}

/// <summary>What one HTTP response answers with: the completions of one or more requests to the cluster.</summary>
/// <param name="Candidates">Prompt by prompt; at least one.</param>
/// <param name="CandidatesEach">How many of them are of one prompt.</param>
/// <param name="ChoicesEach">How many of these the client gets.</param>
internal sealed record Answer(
    ImmutableArray<OpenChoice> Candidates, int CandidatesEach, int ChoicesEach, CompletionForm Form, UsageWish Usage)
{
    /// <summary>False where log-probabilities are there to find the likeliest, and the client wants none.</summary>
    public bool ShowsLogprobs { get; init; } = true;

    /// <summary>The first request's id is the answer's.</summary>
    public RequestId Id => Candidates[0].Id;

    public DateTimeOffset At => Candidates[0].Notes.At;

    /// <summary>Whether its events are those of one request, so that a stream can be resumed by it.</summary>
    public bool IsResumable => Candidates.Length == 1;

    /// <summary>Tokens of all prompts, each counted once however many choices it has.</summary>
    public int PromptTokens => Candidates.Where((_, i) => i % CandidatesEach == 0).Sum(one => one.Notes.PromptTokens);

    public static Answer Of(RequestId id, RequestDescription notes, CompletionForm form) =>
        new([new OpenChoice(0, id, notes, "")], 1, 1, form, default);

    /// <param name="reused">Of each candidate, at its end: tokens of its prompt that were not computed; null before,
    /// where nothing is said of it.</param>
    public UsageBody UsageOf(int completionTokens, IEnumerable<int>? reused = null)
    {
        // What the first of a prompt's candidates left for the others was not there before the client asked.
        var cached = reused?.Where((_, i) => i % CandidatesEach == 0).Sum();
        return new UsageBody(PromptTokens, completionTokens, PromptTokens + completionTokens)
        {
            PromptTokensDetails = cached is { } tokens ? new PromptTokensDetailsBody(tokens) : null,
        };
    }

    /// <summary>The choices that the client gets: of each prompt the likeliest, by the mean log-probability of their
    /// tokens, in that order; all of them where it wants all.</summary>
    /// <param name="whole">The candidates, complete.</param>
    public IReadOnlyList<WholeChoice> Best(IReadOnlyList<WholeChoice> whole)
    {
        // A prompt is scored with the first of its candidates.
        WholeChoice[] all = [.. whole.Select((one, i) => one with { Prompt = whole[i - (i % CandidatesEach)].Prompt })];
        if (CandidatesEach == ChoicesEach) return all;
        return
        [
            .. all.Chunk(CandidatesEach)
                .SelectMany(candidates => candidates.OrderByDescending(one => one.MeanLogprob).Take(ChoicesEach))
                .Select((choice, index) => choice with
                {
                    Index = index,
                    Logprobs = ShowsLogprobs ? choice.Logprobs : null,
                }),
        ];
    }
}

/// <summary>A choice that is complete.</summary>
/// <param name="Logprobs">Of its tokens; null where none are wanted.</param>
internal sealed record WholeChoice(
    int Index, string Text, string FinishReason, IReadOnlyList<TokenLogprobText>? Logprobs, double MeanLogprob)
{
    /// <summary>Null where no log-probabilities of the prompt are wanted.</summary>
    public ScoredPrompt? Prompt { get; init; }
}

/// <summary>A prompt's tokens, and the log-probabilities of all but the first.</summary>
/// <param name="IsEchoed">They stand before those of the choice's own tokens, as its text does.</param>
internal sealed record ScoredPrompt(
    ImmutableArray<int> Tokens, ImmutableArray<TokenLogprobs> Logprobs, bool IsEchoed);
