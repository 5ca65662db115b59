using System.Collections.Immutable;
using System.Text.Json;

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
        if (body.Text("suffix") is { Length: > 0 }) throw body.Bad("suffix", "must be null or empty");
        var echoes = body.Flag("echo", false);
        var tokens = (int)body.Integer(
            "max_tokens", options.CompletionTokensDefault, echoes ? 0 : 1, options.CompletionTokensMax);
        int? top = body.Has("logprobs") ? (int)body.Integer("logprobs", 0, 0, TokenLogprobs.TopMax) : null;
        if (echoes && top is not null) CheckScoredEcho(body);
        var prompts = new List<ReadPrompt>();
        foreach (var (name, element) in Prompts(body))
        {
            var prompt = Prompt(name, element);
            _fields.CheckPrompt(name, prompt);
            // Where only the prompt is wanted, it is computed by drawing the token after it, which nobody is shown.
            var drawn = Math.Max(1, tokens);
            GenerationFields.CheckContext(name, prompt.Length, "max_tokens", drawn, contextMax);
            prompts.Add(new ReadPrompt(prompt, drawn, top, echoes ? Echo(element, prompt) : "")
            {
                IsEchoScored = echoes && top is not null,
            });
        }

        var request = _fields.Read(root, Known, CompletionKind.Text, prompts) with { ShowsGenerated = tokens > 0 };
        return _fields.Checked(WithBest(body, request), "prompt");
    }

    /// <summary>What is echoed has log-probabilities, too, which come with a whole answer only.</summary>
    private static void CheckScoredEcho(RequestFields body)
    {
        if (body.Flag("stream", false))
            throw body.Bad("echo", "must be false in a stream with \"logprobs\": a prompt's come with a whole answer");
        if (body.Has("prompt_logprobs"))
            throw body.Bad("prompt_logprobs", "must be null with \"echo\" and \"logprobs\", which ask for the same");
    }

    /// <summary>Several candidates are generated, and their log-probabilities, to find the likeliest of them.</summary>
    private CompletionRequest WithBest(RequestFields body, CompletionRequest request)
    {
        var candidates = (int)body.Integer("best_of", request.ChoicesEach, 1, options.ChoicesMax);
        if (candidates < request.ChoicesEach) throw body.Bad("best_of", "must be at least \"n\"");
        if (candidates == request.ChoicesEach) return request;
        if (request.Stream) throw body.Bad("best_of", "must be \"n\" in a stream: the best is known at the end");
        return request with
        {
            CandidatesEach = candidates,
            ShowsLogprobs = body.Has("logprobs"),
            Prompts = [.. request.Prompts.Select(prompt => prompt with { Spec = Ranked(prompt.Spec) })],
        };
    }

    private static GenerationSpec Ranked(GenerationSpec spec) => spec.Parameters.TopLogprobs is not null
        ? spec
        : spec with { Parameters = spec.Parameters with { TopLogprobs = 0 } };

    /// <summary>A string, token ids, or a list of these.</summary>
    private IEnumerable<(string Name, JsonElement Prompt)> Prompts(RequestFields body)
    {
        if (!body.Has("prompt")) throw ApiException.BadField("prompt", "is missing: give a string or token ids.");
        var prompt = body["prompt"];
        if (prompt.ValueKind is not (JsonValueKind.String or JsonValueKind.Array))
            throw body.Bad("prompt", "must be a string, an array of token ids, or a list of these");
        var isList = prompt.ValueKind == JsonValueKind.Array && prompt.GetArrayLength() > 0
            && prompt[0].ValueKind is JsonValueKind.String or JsonValueKind.Array;
        if (!isList) return [("prompt", prompt)];
        if (prompt.GetArrayLength() > options.ChoicesMax)
        {
            throw ApiException.BadField(
                "prompt", $"is a list of {prompt.GetArrayLength():N0} prompts; the limit is {options.ChoicesMax:N0}.");
        }

        return prompt.GetArrayLength() == 1
            ? [("prompt", prompt[0])]
            : prompt.EnumerateArray().Select((one, index) => ($"prompt[{index}]", one));
    }

    private ImmutableArray<int> Prompt(string name, JsonElement prompt) => prompt.ValueKind switch
    {
        JsonValueKind.String => _fields.Encode(name, RequestFields.TextOf(name, prompt), addSpecialTokens: true),
        JsonValueKind.Array => _fields.TokenIds(name, prompt),
        _ => throw ApiException.BadField(
            name,
            $"must be a string or an array of token ids; it is {RequestFields.Shorten(prompt.GetRawText())}."),
    };

    private string Echo(JsonElement prompt, ImmutableArray<int> tokens) => prompt.ValueKind == JsonValueKind.String
        ? RequestFields.TextOf("prompt", prompt)
        : model.Tokenizer.Decode(tokens.AsSpan(), skipSpecialTokens: true);
}
