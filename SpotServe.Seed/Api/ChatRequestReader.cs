using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using SpotServe.Seed.Templating;

namespace SpotServe.Seed.Api;

/// <summary>Reads the body of POST /v1/chat/completions: the model's chat template makes the prompt of the
/// messages.</summary>
internal sealed class ChatRequestReader(CompletionModel model, ApiOptions options, TimeProvider time)
    : IGenerationRequestReader
{
    private const string LengthField = "max_completion_tokens";

    private static readonly ImmutableArray<string> Known =
    [
        .. GenerationFields.Known, LengthField, "messages", "add_generation_prompt", "chat_template_kwargs", "logprobs",
        "top_logprobs", "tools", "tool_choice", "parallel_tool_calls",
    ];

    private static readonly string[] Roles = ["system", "developer", "user", "assistant", "tool"];

    private readonly GenerationFields _fields = new(model, options);

    public CompletionRequest Read(JsonElement root, int contextMax)
    {
        var body = new RequestFields(root);
        _fields.CheckModel(body);
        CheckNeutral(body);
        var prompt = PromptOf(body);
        _fields.CheckPrompt("messages", prompt);
        var read = new ReadPrompt(prompt, CompletionTokens(body, prompt.Length, contextMax), TopLogprobs(body));
        return _fields.Checked(_fields.Read(root, Known, CompletionKind.Chat, [read]), "n");
    }

    /// <summary>The prompt that the model's template makes of the messages; it puts in what the model expects around
    /// one.</summary>
    public ImmutableArray<int> PromptOf(RequestFields body) =>
        _fields.Encode("messages", Render(body), addSpecialTokens: false);

    /// <summary>As many as are asked for; else the rest of the context.</summary>
    private int CompletionTokens(RequestFields body, int promptTokens, int contextMax)
    {
        var field = body.Has(LengthField) ? LengthField : "max_tokens";
        if (!body.Has(field))
        {
            GenerationFields.CheckContext("messages", promptTokens, field, 1, contextMax);
            var rest = contextMax == 0 ? options.CompletionTokensDefault : contextMax - promptTokens;
            return Math.Min(rest, options.CompletionTokensMax);
        }

        var asked = body.Integer(field, 1, 1, options.CompletionTokensMax);
        GenerationFields.CheckContext("messages", promptTokens, field, asked, contextMax);
        return (int)asked;
    }

    private static int? TopLogprobs(RequestFields body)
    {
        var wants = body.Flag("logprobs", false);
        var top = (int)body.Integer("top_logprobs", 0, 0, TokenLogprobs.TopMax);
        if (wants) return top;
        return top == 0 ? null : throw ApiException.BadField("top_logprobs", "goes with \"logprobs\": true only.");
    }

    /// <summary>Fields that are not built here are welcome at the value that asks for nothing.</summary>
    private static void CheckNeutral(RequestFields body)
    {
        body.Flag("parallel_tool_calls", true);
        if (body.Has("tools") && !(body["tools"] is { ValueKind: JsonValueKind.Array } tools
            && tools.GetArrayLength() == 0))
        {
            throw body.Bad("tools", "must be null or []: tools are not supported yet");
        }

        if (body.Has("tool_choice") && !(body["tool_choice"] is { ValueKind: JsonValueKind.String } choice
            && choice.ValueEquals("none")))
        {
            throw body.Bad("tool_choice", "must be null or \"none\": tools are not supported yet");
        }
    }

    private string Render(RequestFields body)
    {
        if (model.ChatTemplate is not { } template)
        {
            throw new ApiException(
                HttpStatusCode.BadRequest,
                $"The model {model.Name} has no chat template, so it cannot chat. Use POST /v1/completions, or put a " +
                "chat_template.jinja into the model's folder.",
                "messages",
                "no_chat_template");
        }

        try
        {
            return template.Render(
                Messages(body), body.Flag("add_generation_prompt", true), TemplateOptions(body), time.GetUtcNow());
        }
        catch (TemplateRefusalException refusal)
        {
            throw ApiException.BadField("messages", $"do not fit the model's chat template: {refusal.Message}");
        }
        catch (TemplateException error)
        {
            throw ApiException.BadField("messages", $"do not go with the model's chat template: {error.Message}.");
        }
    }

    private ListValue Messages(RequestFields body)
    {
        if (!body.Has("messages")) throw ApiException.BadField("messages", "is missing: give a list of messages.");
        var messages = body["messages"];
        if (messages.ValueKind != JsonValueKind.Array) throw body.Bad("messages", "must be a list of messages");
        var count = messages.GetArrayLength();
        if (count == 0) throw ApiException.BadField("messages", "is empty; it needs at least 1 message.");
        if (count > options.MessagesMax)
        {
            throw ApiException.BadField(
                "messages", $"has {count:N0} messages; the limit is {options.MessagesMax:N0}.");
        }

        return new ListValue([.. messages.EnumerateArray().Select(Message)]);
    }

    /// <summary>A message as templates know it: all its members, its content as one text.</summary>
    private static Value Message(JsonElement message, int index)
    {
        var name = $"messages[{index}]";
        if (message.ValueKind != JsonValueKind.Object)
        {
            throw ApiException.BadField(
                name, $"must be an object; it is {RequestFields.Shorten(message.GetRawText())}.");
        }

        var fields = new RequestFields(message, $"{name}.");
        var role = fields.Text("role") ?? throw ApiException.BadField($"{name}.role", "is missing.");
        if (!Roles.Contains(role)) throw fields.Bad("role", $"must be one of {string.Join(", ", Roles)}");
        var members = ((MapValue)ValueOf(name, message)).Members;
        // Templates were made before "developer" was: what it says is what the system says.
        if (role == "developer") members[Value.Of("role")] = Value.Of("system");
        members[Value.Of("content")] = Value.Of(Content(fields, role));
        return new MapValue(members);
    }

    private static Value ValueOf(string name, JsonElement element)
    {
        try
        {
            return JsonWriting.FromJson(element);
        }
        catch (FormatException)
        {
            throw ApiException.BadField(name, "is no valid Unicode: half of a surrogate pair stands alone.");
        }
    }

    private static string Content(RequestFields message, string role)
    {
        // An assistant's message may be nothing but calls of tools.
        if (!message.Has("content") && role == "assistant") return "";
        var content = message["content"];
        return content.ValueKind switch
        {
            JsonValueKind.String => message.Text("content")!,
            JsonValueKind.Array => string.Join('\n', content.EnumerateArray().Select(part => Part(message, part))),
            _ => throw message.Bad("content", "must be a string or a list of parts"),
        };
    }

    private static string Part(RequestFields message, JsonElement part)
    {
        if (part.ValueKind == JsonValueKind.Object)
        {
            var fields = new RequestFields(part, "messages.content.");
            if (fields.Text("type") is "text" && fields.Text("text") is { } text) return text;
        }

        throw message.Bad("content", "must have parts of the form {\"type\": \"text\", \"text\": ...} only");
    }

    private static IEnumerable<KeyValuePair<string, Value>> TemplateOptions(RequestFields body)
    {
        if (!body.Has("chat_template_kwargs")) return [];
        var options = body["chat_template_kwargs"];
        if (options.ValueKind != JsonValueKind.Object) throw body.Bad("chat_template_kwargs", "must be an object");
        return ((MapValue)ValueOf("chat_template_kwargs", options)).Members.Select(
            member => KeyValuePair.Create(((TextValue)member.Key).Value, member.Value));
    }
}
