using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpotServe.Seed.Api;

/// <summary>OpenAI's "text_completion", whole or one chunk of a stream.</summary>
/// <param name="Created">Seconds since 1970.</param>
internal sealed record CompletionBody(
    string Id,
    string Object,
    long Created,
    string Model,
    IReadOnlyList<ChoiceBody> Choices,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] UsageBody? Usage);

/// <param name="Logprobs">Null where none are wanted; clients expect the field.</param>
internal sealed record ChoiceBody(int Index, string Text, string? FinishReason, TextLogprobsBody? Logprobs = null)
{
    /// <summary>As vLLM has it: for each token of the prompt, by token id; null for the first one. Left out where none
    /// are wanted.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<Dictionary<string, PromptTokenBody>?>? PromptLogprobs { get; init; }
}

internal sealed record UsageBody(int PromptTokens, int CompletionTokens, int TotalTokens)
{
    /// <summary>Null while a stream goes on.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public PromptTokensDetailsBody? PromptTokensDetails { get; init; }
}

/// <param name="CachedTokens">Tokens of the prompt that were not computed, because kept pages held them.</param>
internal sealed record PromptTokensDetailsBody(int CachedTokens);

internal sealed record ErrorEnvelope(ErrorBody Error);

internal sealed record ErrorBody(string Message, string Type, string? Param, string? Code);

internal sealed record ModelListBody(string Object, IReadOnlyList<ModelBody> Data);

/// <param name="Root">What the model was made of; its own name, for nothing else is told of the server's files.
/// Benchmarks look for a tokenizer by it.</param>
/// <param name="Parent">Always null; clients expect the field.</param>
internal sealed record ModelBody(
    string Id, string Object, long Created, string OwnedBy, string Root, string? Parent = null)
{
    /// <summary>Tokens of prompt and completion together; null while the model's context is not known.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? MaxModelLen { get; init; }
}

internal sealed record HealthBody(string Status);

internal sealed record ReadyBody(
    string Status,
    string Detail,
    string Model,
    int ContextMax,
    LayoutPart Layout,
    JournalPart Journal,
    GatewayPart Gateway);

internal sealed record LayoutPart(bool Serves, long Epoch, string Detail);

/// <param name="Writable">Whether the last write or probe worked.</param>
/// <param name="Trouble">Why not; null when it did.</param>
/// <param name="Damaged">Entries that cannot be read, each with what to do; serving goes on without them.</param>
internal sealed record JournalPart(bool Writable, string? Trouble, IReadOnlyList<string> Damaged);

internal sealed record GatewayPart(bool Answers, string? Trouble, int OpenRequests, int OpenRequestsMax);

/// <summary>GET /admin/replicas.</summary>
internal sealed record ReplicasBody(long Epoch, IReadOnlyList<ReplicaBody> Replicas);

/// <param name="Queued">Requests without pages.</param>
/// <param name="Running">Requests with pages.</param>
/// <param name="Steps">Since the epoch began, as are <paramref name="Tokens"/>.</param>
internal sealed record ReplicaBody(
    int Replica, int Queued, int Running, int FreePages, int PageCount, long Steps, long Tokens);

/// <summary>GET /v1/requests/{id}.</summary>
/// <param name="Status">"in_progress", "completed", "cancelled" or "failed".</param>
/// <param name="Created">Seconds since 1970.</param>
internal sealed record RequestBody(
    string Id,
    string Object,
    string Status,
    long Created,
    string Text,
    int PromptTokens,
    int CompletionTokens,
    string? FinishReason,
    string? Error);

/// <summary>DELETE /v1/requests/{id}.</summary>
/// <param name="Status">"cancelled", or "completed" or "failed" when it had ended before.</param>
internal sealed record EndedBody(string Id, string Object, string Status);

/// <summary>GET /admin/requests.</summary>
/// <param name="Complete">False when there are more than were asked for.</param>
internal sealed record OpenRequestsBody(IReadOnlyList<OpenRequestBody> Requests, bool Complete);

/// <summary>Null where a request does not answer: it is on its way to another control node.</summary>
/// <param name="Created">Seconds since 1970.</param>
/// <param name="Readers">Streams that read it now.</param>
internal sealed record OpenRequestBody(
    string Id, long? Created, int? PromptTokens, int? CompletionTokens, int? Readers);

[JsonSerializable(typeof(EndedBody))]
[JsonSerializable(typeof(VersionBody))]
[JsonSerializable(typeof(TokensBody))]
[JsonSerializable(typeof(PromptBody))]
[JsonSerializable(typeof(OpenRequestsBody))]
[JsonSerializable(typeof(CompletionBody))]
[JsonSerializable(typeof(ErrorEnvelope))]
[JsonSerializable(typeof(ModelListBody))]
[JsonSerializable(typeof(ModelBody))]
[JsonSerializable(typeof(HealthBody))]
[JsonSerializable(typeof(ReadyBody))]
[JsonSerializable(typeof(ReplicasBody))]
[JsonSerializable(typeof(RequestBody))]
[JsonSerializable(typeof(FleetBody))]
[JsonSerializable(typeof(ReconfigurationsBody))]
internal sealed partial class ApiJson : JsonSerializerContext
{
    /// <summary>Writes letters as themselves: the media type is application/json, never HTML.</summary>
    public static ApiJson Plain { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
