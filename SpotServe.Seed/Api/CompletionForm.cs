using SpotServe.Actors.Gateway;
using SpotServe.Actors.Requests;

namespace SpotServe.Seed.Api;

/// <summary>The form in which a client gets a completion: OpenAI's text completion or its chat completion. Stateless:
/// any number of responses share one.</summary>
/// <param name="modelName">Stands in every body.</param>
internal abstract class CompletionForm(string modelName)
{
    protected string ModelName => modelName;

    /// <summary>Adds the event that begins a stream, if the form has one.</summary>
    public abstract void AddStart(SseWriter events, RequestId id, RequestDescription notes);

    /// <summary>Adds the text that token <paramref name="index"/> brought.</summary>
    public abstract void AddText(SseWriter events, RequestId id, RequestDescription notes, string text, int index);

    /// <summary>Adds the last text with the reason of the end.</summary>
    /// <param name="tokens">Generated, stop tokens included; the event's id.</param>
    public abstract void AddEnd(
        SseWriter events, RequestId id, RequestDescription notes, string text, string finish, int tokens);

    /// <summary>Adds the event without a choice that counts the tokens.</summary>
    public abstract void AddUsage(SseWriter events, RequestId id, RequestDescription notes, UsageBody usage);

    /// <summary>Writes the whole completion.</summary>
    public abstract Task WriteAsync(
        HttpContext http, RequestId id, RequestDescription notes, string text, string finish, UsageBody usage);
}

/// <summary>"text_completion", of /v1/completions.</summary>
internal sealed class TextForm(CompletionModel model) : CompletionForm(model.Name)
{
    public override void AddStart(SseWriter events, RequestId id, RequestDescription notes)
    {
    }

    public override void AddText(
        SseWriter events, RequestId id, RequestDescription notes, string text, int index) =>
        events.Add(Body(id, notes, [new ChoiceBody(0, text, null)], null), ApiJson.Plain.CompletionBody, index);

    public override void AddEnd(
        SseWriter events, RequestId id, RequestDescription notes, string text, string finish, int tokens) =>
        events.Add(Body(id, notes, [new ChoiceBody(0, text, finish)], null), ApiJson.Plain.CompletionBody, tokens);

    public override void AddUsage(SseWriter events, RequestId id, RequestDescription notes, UsageBody usage) =>
        events.Add(Body(id, notes, [], usage), ApiJson.Plain.CompletionBody);

    public override Task WriteAsync(
        HttpContext http, RequestId id, RequestDescription notes, string text, string finish, UsageBody usage) =>
        http.Response.WriteAsJsonAsync(
            Body(id, notes, [new ChoiceBody(0, text, finish)], usage),
            ApiJson.Plain.CompletionBody,
            cancellationToken: http.RequestAborted);

    private CompletionBody Body(
        RequestId id, RequestDescription notes, IReadOnlyList<ChoiceBody> choices, UsageBody? usage) =>
        new(id.Value, "text_completion", notes.At.ToUnixTimeSeconds(), ModelName, choices, usage);
}

/// <summary>"chat.completion", of /v1/chat/completions.</summary>
internal sealed class ChatForm(CompletionModel model) : CompletionForm(model.Name)
{
    private const string Assistant = "assistant";

    public override void AddStart(SseWriter events, RequestId id, RequestDescription notes) => events.Add(
        Chunk(id, notes, new ChatDeltaBody(Assistant, ""), finish: null), ChatJson.Plain.ChatChunkBody);

    public override void AddText(
        SseWriter events, RequestId id, RequestDescription notes, string text, int index) => events.Add(
        Chunk(id, notes, new ChatDeltaBody(null, text), finish: null), ChatJson.Plain.ChatChunkBody, index);

    public override void AddEnd(
        SseWriter events, RequestId id, RequestDescription notes, string text, string finish, int tokens)
    {
        var delta = new ChatDeltaBody(null, text.Length == 0 ? null : text);
        events.Add(Chunk(id, notes, delta, finish), ChatJson.Plain.ChatChunkBody, tokens);
    }

    public override void AddUsage(SseWriter events, RequestId id, RequestDescription notes, UsageBody usage) =>
        events.Add(Chunk(id, notes, [], usage), ChatJson.Plain.ChatChunkBody);

    public override Task WriteAsync(
        HttpContext http, RequestId id, RequestDescription notes, string text, string finish, UsageBody usage) =>
        http.Response.WriteAsJsonAsync(
            new ChatBody(
                id.Value,
                "chat.completion",
                notes.At.ToUnixTimeSeconds(),
                ModelName,
                [new ChatChoiceBody(0, new ChatMessageBody(Assistant, text), finish)],
                usage),
            ChatJson.Plain.ChatBody,
            cancellationToken: http.RequestAborted);

    private ChatChunkBody Chunk(RequestId id, RequestDescription notes, ChatDeltaBody delta, string? finish) =>
        Chunk(id, notes, [new ChatDeltaChoiceBody(0, delta, finish)], usage: null);

    private ChatChunkBody Chunk(
        RequestId id, RequestDescription notes, IReadOnlyList<ChatDeltaChoiceBody> choices, UsageBody? usage) =>
        new(id.Value, "chat.completion.chunk", notes.At.ToUnixTimeSeconds(), ModelName, choices, usage);
}
