using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using SpotServe.Seed.Tokenization;

namespace SpotServe.Seed.Api;

/// <summary>
/// Reads what the bodies of completions and of chat completions have in common. Read by hand, not into an object,
/// because every complaint has to name the field, its value and the limit, and because the client is told which fields
/// were not known.
/// </summary>
internal sealed class GenerationFields(CompletionModel model, ApiOptions options)
{
    private const string TimeoutField = "timeout";
    private const int IgnoredMax = 16;

    /// <summary>Fewest seconds that a request may give itself.</summary>
    public const double TimeoutMin = 0.001;

    private readonly SamplingFields _sampling = new(model);

    /// <summary>The fields that are read here.</summary>
    public static ImmutableArray<string> Known { get; } =
    [
        .. SamplingFields.Known, "model", "max_tokens", "stop", "stop_token_ids", "include_stop_str_in_output",
        "stream", "stream_options", "ignore_eos", "skip_special_tokens", "n", "user",
        "response_format", "priority", TimeoutField,
    ];

    /// <summary>The request that a body makes of its prompts.</summary>
    /// <param name="known">All fields that the path knows, <see cref="Known"/> among them.</param>
    /// <param name="prompts">What is to be generated of each prompt.</param>
    /// <exception cref="ApiException">A field cannot be what it is; says which, its value and the limit.</exception>
    public CompletionRequest Read(
        JsonElement root, ImmutableArray<string> known, CompletionKind kind, IReadOnlyList<ReadPrompt> prompts)
    {
        var ignored = ImmutableArray.CreateBuilder<string>();
        NoteUnknown(root, "", known, ignored);
        var body = new RequestFields(root);
        body.Text("user");
        CheckFormat(body);
        var sampling = _sampling.Sampling(body);
        var stream = body.Flag("stream", false);
        var stopTokens = StopTokens(body);
        var stops = Stops(body);
        var standing = Standing.Anonymous with
        {
            Priority = (int)body.Integer("priority", 0, -Standing.PriorityMax, Standing.PriorityMax),
        };
        var specs = prompts.Select(prompt => new PromptRequest(Spec(prompt), prompt.Echo));
        var choices = (int)body.Integer("n", 1, 1, options.ChoicesMax);
        var usage = Usage(body, stream, ignored);
        return new CompletionRequest([.. specs], choices, choices, stream, usage)
        {
            Ignored = ignored.ToImmutable(),
            Timeout = body.Has(TimeoutField) ? Timeout(body) : null,
        };

        GenerationSpec Spec(ReadPrompt prompt)
        {
            var parameters = new GenerationParameters(prompt.CompletionTokens, sampling, stopTokens)
            {
                Stops = stops,
                ShowsSpecialTokens = !body.Flag("skip_special_tokens", true),
                IncludesStop = body.Flag("include_stop_str_in_output", false),
                TopLogprobs = prompt.TopLogprobs,
                PromptLogprobs = prompt is { IsEchoScored: true, TopLogprobs: { } top }
                    ? SamplingFields.CheckedPromptLogprobs("logprobs", top, prompt.Tokens.Length)
                    : SamplingFields.PromptLogprobs(body, prompt.Tokens.Length, stream),
            };
            return new GenerationSpec(prompt.Tokens, _sampling.Shaped(body, parameters))
            {
                Kind = kind,
                Standing = standing,
            };
        }
    }

    private TimeSpan Timeout(RequestFields body)
    {
        var max = options.RequestTimeout.TotalSeconds;
        return TimeSpan.FromSeconds(body.Number(TimeoutField, max, Math.Min(max, TimeoutMin), max));
    }

    /// <summary>Refuses more completions than one request may ask for.</summary>
    public CompletionRequest Checked(CompletionRequest request, string field)
    {
        var all = request.Prompts.Length * request.CandidatesEach;
        return all <= options.ChoicesMax
            ? request
            : throw ApiException.BadField(
                field,
                $"makes {all:N0} completions together with the other fields; the limit is {options.ChoicesMax:N0}. " +
                "Send several requests.");
    }

    public void CheckModel(RequestFields body)
    {
        if (body.Text("model") is { } name && name != model.Name) throw ApiException.ModelNotFound(name, model.Name);
    }

    /// <param name="field">Where the text stands, for complaints.</param>
    /// <param name="addSpecialTokens">Adds what the model expects around a prompt.</param>
    public ImmutableArray<int> Encode(string field, string text, bool addSpecialTokens)
    {
        if (text.Length > options.PromptCharsMax)
        {
            throw ApiException.BadField(
                field, $"has {text.Length:N0} characters; the limit is {options.PromptCharsMax:N0}. Shorten it.");
        }

        try
        {
            return Checked(field, [.. model.Tokenizer.Encode(text, addSpecialTokens)]);
        }
        catch (TextTooComplexException error)
        {
            throw ApiException.BadField(field, error.Message);
        }
    }

    /// <summary>Refuses what the tokenizer knows and the model does not.</summary>
    private ImmutableArray<int> Checked(string field, ImmutableArray<int> ids)
    {
        foreach (var id in ids)
        {
            if ((uint)id < (uint)model.VocabularySize) continue;
            var text = RequestFields.Shorten(model.Tokenizer.Decode([id], skipSpecialTokens: false));
            throw ApiException.BadField(
                field,
                $"holds \"{text}\", whose token id is {id}; the model's vocabulary has {model.VocabularySize} tokens " +
                $"(0 to {model.VocabularySize - 1}). Leave it out.");
        }

        return ids;
    }

    public ImmutableArray<int> TokenIds(string field, JsonElement array)
    {
        var vocabulary = model.VocabularySize;
        var ids = ImmutableArray.CreateBuilder<int>(array.GetArrayLength());
        foreach (var item in array.EnumerateArray())
        {
            if (RequestFields.WholeNumber(item) is not { } id || id < 0 || id >= vocabulary)
            {
                throw ApiException.BadField(
                    field,
                    $"holds {RequestFields.Shorten(item.GetRawText())} at [{ids.Count}]; " +
                    $"token ids are integers of 0 to {vocabulary - 1}, the model's vocabulary.");
            }

            ids.Add((int)id);
        }

        return ids.DrainToImmutable();
    }

    /// <summary>Refuses a prompt that is empty or longer than any may be.</summary>
    public void CheckPrompt(string field, ImmutableArray<int> prompt)
    {
        if (prompt.IsEmpty) throw ApiException.BadField(field, "is empty; it needs at least 1 token.");
        if (prompt.Length <= options.PromptTokensMax) return;
        throw ApiException.BadField(
            field, $"has {prompt.Length:N0} tokens; the limit is {options.PromptTokensMax:N0}. Shorten it.");
    }

    /// <param name="contextMax">Tokens of prompt and completion together; 0 when not known yet.</param>
    /// <param name="lengthField">Where <paramref name="completionTokens"/> was asked for.</param>
    public static void CheckContext(
        string promptField, int promptTokens, string lengthField, long completionTokens, int contextMax)
    {
        if (contextMax == 0 || promptTokens + completionTokens <= contextMax) return;
        throw new ApiException(
            HttpStatusCode.BadRequest,
            $"The prompt has {promptTokens:N0} tokens and \"{lengthField}\" is {completionTokens:N0}; together " +
            $"the model's limit is {contextMax:N0}. Shorten the prompt or ask for fewer tokens.",
            promptTokens < contextMax ? lengthField : promptField,
            "context_length_exceeded");
    }

    /// <summary>Bounded, and only what may stand in a header: the names are a stranger's.</summary>
    private static void NoteUnknown(
        JsonElement root, string prefix, ImmutableArray<string> known, ImmutableArray<string>.Builder ignored)
    {
        foreach (var member in root.EnumerateObject())
        {
            var name = prefix + RequestFields.NameOf(member);
            if (known.Contains(name) || ignored.Count == IgnoredMax) continue;
            ignored.Add(string.Concat(name.Select(InHeader)));
        }

        static char InHeader(char c) => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.' ? c : '?';
    }

    /// <summary>The model's own unless they are ignored, and those that the request adds.</summary>
    private ImmutableArray<int> StopTokens(RequestFields body)
    {
        var ends = body.Flag("ignore_eos", false) ? [] : model.StopTokens;
        if (!body.Has("stop_token_ids")) return ends;
        var asked = body["stop_token_ids"];
        if (asked.ValueKind != JsonValueKind.Array) throw body.Bad("stop_token_ids", "must be an array of token ids");
        if (asked.GetArrayLength() > options.StopTokensMax)
        {
            throw ApiException.BadField(
                "stop_token_ids", $"has {asked.GetArrayLength()} ids; the limit is {options.StopTokensMax}.");
        }

        return [.. ends.Concat(TokenIds("stop_token_ids", asked)).Distinct()];
    }

    private ImmutableArray<string> Stops(RequestFields body)
    {
        if (!body.Has("stop")) return [];
        var stop = body["stop"];
        ImmutableArray<string> stops = stop.ValueKind switch
        {
            JsonValueKind.String => [RequestFields.TextOf("stop", stop)],
            JsonValueKind.Array when stop.GetArrayLength() > options.StopsMax => throw ApiException.BadField(
                "stop", $"has {stop.GetArrayLength()} strings; the limit is {options.StopsMax}."),
            JsonValueKind.Array => [.. stop.EnumerateArray().Select(item => RequestFields.TextOf("stop", item))],
            _ => throw body.Bad("stop", $"must be a string or up to {options.StopsMax} strings"),
        };
        foreach (var text in stops)
        {
            if (text.Length == 0) throw ApiException.BadField("stop", "holds an empty string; leave it out.");
            if (text.Length > options.StopCharsMax)
            {
                throw ApiException.BadField(
                    "stop", $"holds a string of {text.Length} characters; the limit is {options.StopCharsMax}.");
            }
        }

        return stops;
    }

    /// <summary>What would constrain a text is welcome at the value that asks for nothing.</summary>
    private static void CheckFormat(RequestFields body)
    {
        if (!body.Has("response_format")) return;
        var format = body["response_format"];
        if (format.ValueKind != JsonValueKind.Object
            || new RequestFields(format, "response_format.").Text("type") != "text")
        {
            throw body.Bad("response_format", "must be null or {\"type\": \"text\"}");
        }
    }

    private static UsageWish Usage(
        RequestFields body, bool stream, ImmutableArray<string>.Builder ignored)
    {
        const string prefix = "stream_options.";
        if (!body.Has("stream_options")) return default;
        if (!stream) throw ApiException.BadField("stream_options", "goes with \"stream\": true only.");
        var asked = body["stream_options"];
        if (asked.ValueKind != JsonValueKind.Object) throw body.Bad("stream_options", "must be an object");
        // Chunks are not padded against eavesdroppers who count bytes: what would ask for it changes no text.
        NoteUnknown(
            asked,
            prefix,
            [prefix + "include_usage", prefix + "continuous_usage_stats", prefix + "include_obfuscation"],
            ignored);
        var fields = new RequestFields(asked, prefix);
        fields.Flag("include_obfuscation", false);
        return new UsageWish(
            fields.Flag("include_usage", false), fields.Flag("continuous_usage_stats", false));
    }
}

/// <summary>A prompt with what a body's path says of it.</summary>
/// <param name="CompletionTokens">Most tokens to generate.</param>
/// <param name="TopLogprobs">As of <see cref="GenerationParameters"/>.</param>
/// <param name="Echo">Text that its choices begin with.</param>
internal sealed record ReadPrompt(
    ImmutableArray<int> Tokens, int CompletionTokens, int? TopLogprobs, string Echo = "")
{
    /// <summary>Whether the log-probabilities are wanted of what is echoed as well.</summary>
    public bool IsEchoScored { get; init; }
}
