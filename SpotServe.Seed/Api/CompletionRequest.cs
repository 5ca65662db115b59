using System.Collections.Immutable;

namespace SpotServe.Seed.Api;

/// <summary>One prompt of a request.</summary>
/// <param name="Echo">Text that each of its choices begins with; empty where nothing is repeated.</param>
internal sealed record PromptRequest(GenerationSpec Spec, string Echo);

/// <summary>What a client wants to be told of counts while a stream goes on.</summary>
/// <param name="AtEnd">A stream's last chunk counts the tokens.</param>
/// <param name="InEach">Each chunk counts those so far.</param>
internal readonly record struct UsageWish(bool AtEnd, bool InEach);

/// <summary>A completion request that has been read and found to be within all bounds.</summary>
/// <param name="ChoicesEach">Completions that the client gets of each prompt, >= 1.</param>
/// <param name="CandidatesEach">Completions that are generated of each prompt, of which it gets the likeliest.</param>
internal sealed record CompletionRequest(
    ImmutableArray<PromptRequest> Prompts, int ChoicesEach, int CandidatesEach, bool Stream, UsageWish Usage)
{
    /// <summary>As of <see cref="Answer"/>.</summary>
    public bool ShowsLogprobs { get; init; } = true;

    /// <summary>False where only the prompts are wanted, as they were echoed.</summary>
    public bool ShowsGenerated { get; init; } = true;

    /// <summary>Names of fields that are not known here; as other servers do, they are read over.</summary>
    public ImmutableArray<string> Ignored { get; init; } = [];

    /// <summary>Time that the request gives itself; null where it says nothing of it.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>What is to be generated, prompt by prompt. Each is a request of its own to the cluster, with a seed of
    /// its own, so that the first choice of a seed is what it would be alone.</summary>
    public IEnumerable<PromptRequest> Candidates() =>
        from prompt in Prompts
        from candidate in Enumerable.Range(0, CandidatesEach)
        select Reseeded(prompt, candidate, CandidatesEach);

    private static PromptRequest Reseeded(PromptRequest prompt, int candidate, int candidates)
    {
        var parameters = prompt.Spec.Parameters;
        var sampling = parameters.Sampling with { Seed = unchecked(parameters.Sampling.Seed + (ulong)candidate) };
        var reseeded = prompt.Spec with
        {
            Parameters = parameters with
            {
                Sampling = sampling,
                // Of a prompt, one candidate's are all candidates'.
                PromptLogprobs = candidate == 0 ? parameters.PromptLogprobs : null,
            },
            SharesPrompt = candidates > 1,
        };
        return prompt with { Spec = reseeded };
    }
}
