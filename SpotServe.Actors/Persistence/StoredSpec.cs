using System.Diagnostics;
using SpotServe.Actors.Requests;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// A request's spec as it is stored. What most requests do not ask for is null, and left out.
/// </summary>
/// <param name="SpecialTokens">True where they are shown.</param>
/// <param name="Kind">"chat"; null for a text completion.</param>
internal sealed record StoredSpec(
    string Prompt,
    int TokensMax,
    float Temperature,
    float TopP,
    int TopK,
    ulong Seed,
    string StopTokens,
    string[]? Stops = null,
    bool? SpecialTokens = null,
    string? Kind = null,
    bool? IncludesStop = null,
    int? TokensMin = null,
    float? MinP = null,
    float? PresencePenalty = null,
    float? FrequencyPenalty = null,
    float? RepetitionPenalty = null,
    StoredBias[]? Biases = null,
    int? TopLogprobs = null,
    bool? SharesPrompt = null,
    string? TraceParent = null,
    string? Client = null,
    int? Weight = null,
    int? Priority = null,
    DateTimeOffset? Deadline = null,
    int? PromptLogprobs = null)
{
    public static StoredSpec Of(GenerationSpec spec)
    {
        var (tokensMax, sampling, stopTokens) = spec.Parameters;
        var penalties = spec.Parameters.Penalties;
        return new StoredSpec(
            TokenText.Write(spec.Prompt), tokensMax, sampling.Temperature, sampling.TopP, sampling.TopK, sampling.Seed,
            TokenText.Write(stopTokens), spec.Parameters.Stops.IsEmpty ? null : [.. spec.Parameters.Stops],
            spec.Parameters.ShowsSpecialTokens ? true : null, NameOf(spec.Kind),
            spec.Parameters.IncludesStop ? true : null, Unless(spec.Parameters.TokensMin, 0),
            Unless(penalties.MinP, 0f), Unless(penalties.Presence, 0f), Unless(penalties.Frequency, 0f),
            Unless(penalties.Repetition, 1f),
            spec.Parameters.Biases.IsEmpty
                ? null
                : [.. spec.Parameters.Biases.Select(one => new StoredBias(one.Token, one.Bias))],
            spec.Parameters.TopLogprobs, spec.SharesPrompt ? true : null, spec.TraceParent,
            spec.Standing.Client.Length == 0 ? null : spec.Standing.Client, Unless(spec.Standing.Weight, 1),
            Unless(spec.Standing.Priority, 0), spec.Deadline, spec.Parameters.PromptLogprobs);
    }

    public GenerationSpec ToSpec() => new(
        TokenText.Read(Prompt),
        new GenerationParameters(
            TokensMax, new SamplingParameters(Temperature, TopP, TopK, Seed), TokenText.Read(StopTokens))
        {
            Stops = [.. Stops ?? []],
            ShowsSpecialTokens = SpecialTokens ?? false,
            IncludesStop = IncludesStop ?? false,
            TokensMin = TokensMin ?? 0,
            Penalties = new LogitPenalties(
                MinP ?? 0, PresencePenalty ?? 0, FrequencyPenalty ?? 0, RepetitionPenalty ?? 1),
            Biases = [.. (Biases ?? []).Select(one => new TokenBias(one.Token, one.Bias))],
            TopLogprobs = TopLogprobs,
            PromptLogprobs = PromptLogprobs,
        })
    {
        Kind = KindOf(Kind),
        SharesPrompt = SharesPrompt ?? false,
        TraceParent = TraceParent,
        Standing = new Standing(Client ?? "", Weight ?? 1, Priority ?? 0),
        Deadline = Deadline,
    };

    private static T? Unless<T>(T value, T usual)
        where T : struct, IEquatable<T> => value.Equals(usual) ? null : value;

    // Spelled out, so that renaming the enum's members does not change what is stored.
    private static string? NameOf(CompletionKind kind) => kind switch
    {
        CompletionKind.Text => null,
        CompletionKind.Chat => "chat",
        _ => throw new UnreachableException(),
    };

    private static CompletionKind KindOf(string? name) => name switch
    {
        null => CompletionKind.Text,
        "chat" => CompletionKind.Chat,
        _ => throw new JournalFormatException($"Journal entry 'request-accepted.3' has the unknown kind '{name}'."),
    };
}

internal sealed record StoredBias(int Token, float Bias);

/// <summary>Without stop strings: they were not kept.</summary>
internal sealed record RequestAcceptedV1(
    string Id, DateTimeOffset At, string Prompt, int TokensMax, float Temperature, float TopP, int TopK, ulong Seed,
    string StopTokens) : IJournalForm
{
    public object ToEvent() => new RequestAcceptedV3(
        Id, At, new StoredSpec(Prompt, TokensMax, Temperature, TopP, TopK, Seed, StopTokens)).ToEvent();
}

/// <summary>All of it in one record, and of text completions only: a chat was kept as one.</summary>
internal sealed record RequestAcceptedV2(
    string Id, DateTimeOffset At, string Prompt, int TokensMax, float Temperature, float TopP, int TopK, ulong Seed,
    string StopTokens, string[] Stops, bool? SpecialTokens = null) : IJournalForm
{
    public object ToEvent() => new RequestAcceptedV3(
        Id, At,
        new StoredSpec(Prompt, TokensMax, Temperature, TopP, TopK, Seed, StopTokens, Stops, SpecialTokens)).ToEvent();
}

internal sealed record RequestAcceptedV3(string Id, DateTimeOffset At, StoredSpec Spec) : IJournalForm
{
    public static RequestAcceptedV3 Of(RequestEvents.RequestAccepted e) =>
        new(e.Id.Value, e.At, StoredSpec.Of(e.Spec));

    public object ToEvent() => new RequestEvents.RequestAccepted(new RequestId(Id), At, Spec.ToSpec());
}
