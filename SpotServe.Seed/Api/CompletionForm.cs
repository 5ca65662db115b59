namespace SpotServe.Seed.Api;

/// <summary>What an event adds to a choice.</summary>
/// <param name="FinishReason">Set with the last one.</param>
/// <param name="TextOffset">Characters of the choice before it, where log-probabilities are wanted.</param>
/// <param name="EventId">What a client resumes the stream by; null where it cannot.</param>
/// <param name="Usage">Null unless the client wants counts in each event.</param>
internal readonly record struct ChoiceDelta(
    int Choice, string Text, string? FinishReason, TokenLogprobText? Logprobs, int TextOffset, int? EventId,
    UsageBody? Usage);

/// <summary>The form in which a client gets an answer: OpenAI's text completion or its chat completion. Stateless: any
/// number of responses share one.</summary>
/// <param name="model">Its name stands in every body.</param>
internal abstract class CompletionForm(CompletionModel model)
{
    protected TokenTexts Texts { get; } = new(model.Tokenizer);

    protected string ModelName => model.Name;

    /// <summary>Adds the event that begins a choice, if the form has one.</summary>
    public abstract void AddStart(SseWriter events, Answer answer, OpenChoice choice);

    /// <summary>Adds text of a choice, or its end, or both.</summary>
    public abstract void AddText(SseWriter events, Answer answer, ChoiceDelta delta);

    /// <summary>Adds the event without a choice that counts the tokens.</summary>
    public abstract void AddUsage(SseWriter events, Answer answer, UsageBody usage);

    /// <summary>Writes the whole answer.</summary>
    public abstract Task WriteAsync(
        HttpContext http, Answer answer, IReadOnlyList<WholeChoice> choices, UsageBody usage);

    /// <summary>Null where none are wanted.</summary>
    protected IReadOnlyList<Dictionary<string, PromptTokenBody>?>? PromptLogprobsOf(WholeChoice choice) =>
        choice.Prompt is { IsEchoed: false } prompt ? PromptTokenBody.Of(prompt, Texts) : null;
}

/// <summary>"text_completion", of /v1/completions.</summary>
internal sealed class TextForm(CompletionModel model) : CompletionForm(model)
{
    public override void AddStart(SseWriter events, Answer answer, OpenChoice choice)
    {
    }

    public override void AddText(SseWriter events, Answer answer, ChoiceDelta delta)
    {
        var logprobs = delta.Logprobs is { } one ? TextLogprobsBody.Of([one], delta.TextOffset) : null;
        var choice = new ChoiceBody(delta.Choice, delta.Text, delta.FinishReason, logprobs);
        events.Add(Body(answer, [choice], delta.Usage), ApiJson.Plain.CompletionBody, delta.EventId);
    }

    public override void AddUsage(SseWriter events, Answer answer, UsageBody usage) =>
        events.Add(Body(answer, [], usage), ApiJson.Plain.CompletionBody);

    public override Task WriteAsync(
        HttpContext http, Answer answer, IReadOnlyList<WholeChoice> choices, UsageBody usage) =>
        http.Response.WriteAsJsonAsync(
            Body(answer, [.. choices.Select(ChoiceOf)], usage),
            ApiJson.Plain.CompletionBody,
            cancellationToken: http.RequestAborted);

    private ChoiceBody ChoiceOf(WholeChoice choice) => new(
        choice.Index, choice.Text, choice.FinishReason,
        choice.Logprobs is { } logprobs ? TextLogprobsBody.Of(EchoOf(choice), logprobs) : null)
    {
        PromptLogprobs = PromptLogprobsOf(choice),
    };

    /// <summary>The prompt's tokens as they stand before the choice's own; the first has no log-probability.</summary>
    private (string First, IReadOnlyList<TokenLogprobText> Others)? EchoOf(WholeChoice choice) =>
        choice.Prompt is { IsEchoed: true } prompt
            ? (Texts.TextOf(prompt.Tokens[0]),
                [.. prompt.Logprobs.Select((one, i) => Texts.Of(prompt.Tokens[i + 1], one))])
            : null;

    private CompletionBody Body(Answer answer, IReadOnlyList<ChoiceBody> choices, UsageBody? usage) =>
        new(answer.Id.Value, "text_completion", answer.At.ToUnixTimeSeconds(), ModelName, choices, usage);
}

/// <summary>"chat.completion", of /v1/chat/completions.</summary>
internal sealed class ChatForm(CompletionModel model) : CompletionForm(model)
{
    private const string Assistant = "assistant";

    public override void AddStart(SseWriter events, Answer answer, OpenChoice choice) => events.Add(
        Chunk(answer, [new ChatDeltaChoiceBody(choice.Index, new ChatDeltaBody(Assistant, ""), null)], null),
        ChatJson.Plain.ChatChunkBody);

    public override void AddText(SseWriter events, Answer answer, ChoiceDelta delta)
    {
        var text = delta.Text.Length == 0 && delta.FinishReason is not null ? null : delta.Text;
        var logprobs = delta.Logprobs is { } one ? ChatLogprobsBody.Of([one]) : null;
        var choice = new ChatDeltaChoiceBody(
            delta.Choice, new ChatDeltaBody(null, text), delta.FinishReason, logprobs);
        events.Add(Chunk(answer, [choice], delta.Usage), ChatJson.Plain.ChatChunkBody, delta.EventId);
    }

    public override void AddUsage(SseWriter events, Answer answer, UsageBody usage) =>
        events.Add(Chunk(answer, [], usage), ChatJson.Plain.ChatChunkBody);

    public override Task WriteAsync(
        HttpContext http, Answer answer, IReadOnlyList<WholeChoice> choices, UsageBody usage) =>
        http.Response.WriteAsJsonAsync(
            new ChatBody(
                answer.Id.Value,
                "chat.completion",
                answer.At.ToUnixTimeSeconds(),
                ModelName,
                [.. choices.Select(ChoiceOf)],
                usage)
            {
                PromptLogprobs = PromptLogprobsOf(choices[0]),
            },
            ChatJson.Plain.ChatBody,
            cancellationToken: http.RequestAborted);

    private static ChatChoiceBody ChoiceOf(WholeChoice choice) => new(
        choice.Index, new ChatMessageBody(Assistant, choice.Text), choice.FinishReason,
        choice.Logprobs is { } logprobs ? ChatLogprobsBody.Of(logprobs) : null);

    private ChatChunkBody Chunk(Answer answer, IReadOnlyList<ChatDeltaChoiceBody> choices, UsageBody? usage) =>
        new(answer.Id.Value, "chat.completion.chunk", answer.At.ToUnixTimeSeconds(), ModelName, choices, usage);
}
