using System.Collections.Immutable;
using System.Text.Json;
using SpotServe.Actors.Requests;

namespace SpotServe.Seed.Api;

/// <summary>Reads the body of a request that generates text.</summary>
internal interface IGenerationRequestReader
{
    /// <param name="contextMax">Tokens of prompt and completion together; 0 when not known yet.</param>
    /// <exception cref="ApiException">Something in it cannot be done; says which field, its value and the
    /// limit.</exception>
    CompletionRequest Read(JsonElement root, int contextMax);
}

/// <summary>Reads the body of POST /v1/completions.</summary>
internal sealed class CompletionRequestReader(CompletionModel model, ApiOptions options) : IGenerationRequestReader
{
    private static readonly ImmutableArray<string> Known =
        [.. GenerationFields.Known, "prompt", "best_of", "echo", "logprobs", "suffix"];

    private readonly GenerationFields _fields = new(model, options);

    public CompletionRequest Read(JsonElement root, int contextMax)
    {
        var body = new RequestFields(root);
        _fields.CheckModel(body);
        CheckNeutral(body);
        var prompt = Prompt(body);
        _fields.CheckPrompt("prompt", prompt);
        var tokens = body.Integer("max_tokens", options.CompletionTokensDefault, 1, options.CompletionTokensMax);
        GenerationFields.CheckContext("prompt", prompt.Length, "max_tokens", tokens, contextMax);
        return _fields.Read(root, Known, CompletionKind.Text, prompt, (int)tokens);
    }

    private static void CheckNeutral(RequestFields body)
    {
        body.Integer("best_of", 1, 1, 1);
        if (body.Flag("echo", false)) throw body.Bad("echo", "must be false");
        if (body.Has("logprobs")) throw body.Bad("logprobs", "must be null");
        if (body.Text("suffix") is { Length: > 0 }) throw body.Bad("suffix", "must be null or empty");
    }

    private ImmutableArray<int> Prompt(RequestFields body)
    {
        if (!body.Has("prompt")) throw ApiException.BadField("prompt", "is missing: give a string or token ids.");
        var prompt = body["prompt"];

        // [[1, 2]] and ["text"] are lists of one prompt.
        if (prompt.ValueKind == JsonValueKind.Array && prompt.GetArrayLength() > 0
            && prompt[0].ValueKind is JsonValueKind.String or JsonValueKind.Array)
        {
            if (prompt.GetArrayLength() > 1)
            {
                throw ApiException.BadField(
                    "prompt",
                    $"is a list of {prompt.GetArrayLength()} prompts; the limit is 1. Send one request each.");
            }

            prompt = prompt[0];
        }

        return prompt.ValueKind switch
        {
            JsonValueKind.String => _fields.Encode(
                "prompt", RequestFields.TextOf("prompt", prompt), addSpecialTokens: true),
            JsonValueKind.Array => _fields.TokenIds("prompt", prompt),
            _ => throw body.Bad("prompt", "must be a string or an array of token ids"),
        };
    }
}
