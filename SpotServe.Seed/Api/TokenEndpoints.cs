using System.Collections.Immutable;
using System.Text.Json;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Api;

/// <summary>POST /tokenize and /detokenize, and GET /version, in the form of vLLM's: for clients that count tokens
/// before they ask.</summary>
internal sealed class TokenEndpoints(
    IGenerationClient cluster, CompletionModel model, ChatRequestReader chats, ApiOptions options)
{
    private static readonly VersionBody Version = new(
        typeof(TokenEndpoints).Assembly.GetName().Version!.ToString(fieldCount: 3));

    private readonly GenerationFields _fields = new(model, options);

    public static Task GetVersionAsync(HttpContext http) => http.Response.WriteAsJsonAsync(
        Version, ApiJson.Plain.VersionBody, cancellationToken: http.RequestAborted);

    /// <summary>{"prompt": "..."} or {"messages": [...]}: the ids that a request with the same would have.</summary>
    public async Task TokenizeAsync(HttpContext http)
    {
        using var body = await JsonBody.ReadAsync(http).ConfigureAwait(false);
        var fields = new RequestFields(body.RootElement);
        _fields.CheckModel(fields);
        var tokens = TokensOf(fields);
        IReadOnlyList<string>? texts = fields.Flag("return_token_strs", false)
            ? [.. tokens.Select(id => model.Tokenizer.Decode([id], skipSpecialTokens: false))]
            : null;
        await http.Response.WriteAsJsonAsync(
            new TokensBody(tokens.Length, cluster.Status.ContextMax, tokens, texts),
            ApiJson.Plain.TokensBody,
            cancellationToken: http.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>{"tokens": [...]}: their text, special tokens included.</summary>
    public async Task DetokenizeAsync(HttpContext http)
    {
        using var body = await JsonBody.ReadAsync(http).ConfigureAwait(false);
        var fields = new RequestFields(body.RootElement);
        _fields.CheckModel(fields);
        if (fields["tokens"].ValueKind != JsonValueKind.Array)
            throw fields.Bad("tokens", "must be a list of token ids");
        if (fields["tokens"].GetArrayLength() > options.PromptTokensMax)
        {
            throw ApiException.BadField(
                "tokens",
                $"has {fields["tokens"].GetArrayLength():N0} tokens; the limit is {options.PromptTokensMax:N0}.");
        }

        var tokens = _fields.TokenIds("tokens", fields["tokens"]);
        await http.Response.WriteAsJsonAsync(
            new PromptBody(model.Tokenizer.Decode(tokens.AsSpan(), skipSpecialTokens: false)),
            ApiJson.Plain.PromptBody,
            cancellationToken: http.RequestAborted).ConfigureAwait(false);
    }

    private ImmutableArray<int> TokensOf(RequestFields fields)
    {
        if (fields.Has("messages"))
        {
            return fields.Has("prompt")
                ? throw ApiException.BadField("prompt", "stands beside \"messages\"; give one of them.")
                : chats.PromptOf(fields);
        }

        var text = fields.Text("prompt")
            ?? throw ApiException.BadField("prompt", "is missing: give a string, or \"messages\".");
        return _fields.Encode("prompt", text, fields.Flag("add_special_tokens", true));
    }
}

/// <summary>GET /version.</summary>
internal sealed record VersionBody(string Version);

/// <summary>POST /tokenize.</summary>
/// <param name="MaxModelLen">Tokens of prompt and completion together; 0 while the model is not known.</param>
/// <param name="TokenStrs">Null unless asked for.</param>
internal sealed record TokensBody(
    int Count, int MaxModelLen, IReadOnlyList<int> Tokens, IReadOnlyList<string>? TokenStrs);

/// <summary>POST /detokenize.</summary>
internal sealed record PromptBody(string Prompt);
