using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpotServe.Seed.Api;

/// <summary>OpenAI's "chat.completion".</summary>
/// <param name="Created">Seconds since 1970.</param>
internal sealed record ChatBody(
    string Id, string Object, long Created, string Model, IReadOnlyList<ChatChoiceBody> Choices, UsageBody Usage)
{
    /// <summary>As of <see cref="ChoiceBody"/>; of the prompt that all choices have.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<Dictionary<string, PromptTokenBody>?>? PromptLogprobs { get; init; }
}

/// <param name="Logprobs">Null where none are wanted; clients expect the field.</param>
internal sealed record ChatChoiceBody(
    int Index, ChatMessageBody Message, string FinishReason, ChatLogprobsBody? Logprobs = null);

/// <param name="Refusal">Always null; clients expect the field.</param>
internal sealed record ChatMessageBody(string Role, string Content, string? Refusal = null);

/// <summary>OpenAI's "chat.completion.chunk", one event of a stream.</summary>
/// <param name="Usage">In the last chunk only, and only when asked for.</param>
internal sealed record ChatChunkBody(
    string Id,
    string Object,
    long Created,
    string Model,
    IReadOnlyList<ChatDeltaChoiceBody> Choices,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] UsageBody? Usage);

internal sealed record ChatDeltaChoiceBody(
    int Index, ChatDeltaBody Delta, string? FinishReason, ChatLogprobsBody? Logprobs = null);

/// <summary>What an event adds to the message: its role first, then text, at the end nothing.</summary>
internal sealed record ChatDeltaBody(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Role,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Content);

[JsonSerializable(typeof(ChatBody))]
[JsonSerializable(typeof(ChatChunkBody))]
internal sealed partial class ChatJson : JsonSerializerContext
{
    /// <summary>Writes letters as themselves: the media type is application/json, never HTML.</summary>
    public static ChatJson Plain { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
