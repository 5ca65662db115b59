using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Templating;

/// <summary>
/// A model's way of writing a conversation as one prompt: chat_template.jinja, or "chat_template" of
/// tokenizer_config.json, with the special tokens that the template may name. The text that it makes holds the special
/// tokens already: encode it without adding any.
/// </summary>
internal sealed class ChatTemplate
{
    private const string FileName = "chat_template.jinja";
    private const string ConfigName = "tokenizer_config.json";

    private static readonly string[] SpecialTokens =
        ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    private readonly Template _template;
    private readonly IReadOnlyDictionary<string, Value> _specialTokens;

    private ChatTemplate(Template template, IReadOnlyDictionary<string, Value> specialTokens)
    {
        _template = template;
        _specialTokens = specialTokens;
    }

    /// <summary>The template of a model folder; null when it has none.</summary>
    /// <exception cref="ModelFormatException">The folder has one that cannot be used; the message says which file,
    /// where and why.</exception>
    public static ChatTemplate? Open(string folder)
    {
        var config = Path.Combine(folder, ConfigName);
        using var document = File.Exists(config) ? ReadConfig(config) : null;
        var file = Path.Combine(folder, FileName);
        var (path, source) = File.Exists(file)
            ? (file, File.ReadAllText(file))
            : (config, document is null ? null : SourceOf(document.RootElement, config));
        if (source is null) return null;
        try
        {
            var tokens = document is null ? [] : Tokens(document.RootElement);
            return new ChatTemplate(Template.Parse(source), tokens);
        }
        catch (TemplateException error)
        {
            throw new ModelFormatException(
                $"The chat template of {path} cannot be used: {error.Message}. Put a template without it into " +
                $"{FileName} of the model folder.",
                error);
        }
    }

    /// <summary>For tests: a template and its special tokens, without a folder.</summary>
    public static ChatTemplate Of(string source, IReadOnlyDictionary<string, Value> specialTokens) =>
        new(Template.Parse(source), specialTokens);

    /// <summary>The prompt of a conversation.</summary>
    /// <param name="messages">A list of mappings with "role" and "content".</param>
    /// <param name="addGenerationPrompt">Ends it where the assistant's next message begins.</param>
    /// <param name="options">Further names for the template, such as "enable_thinking".</param>
    /// <exception cref="TemplateException">The template does not go with these messages.</exception>
    /// <exception cref="TemplateRefusalException">The template refuses them itself.</exception>
    public string Render(
        Value messages,
        bool addGenerationPrompt,
        IEnumerable<KeyValuePair<string, Value>> options,
        DateTimeOffset now)
    {
        var variables = new Dictionary<string, Value>(_specialTokens)
        {
            ["tools"] = NoneValue.Instance,
            ["documents"] = NoneValue.Instance,
        };
        foreach (var (name, value) in options) variables[name] = value;
        variables["messages"] = messages;
        variables["add_generation_prompt"] = Value.Of(addGenerationPrompt);
        return _template.Render(variables, now);
    }

    private static JsonDocument ReadConfig(string path)
    {
        try
        {
            var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document;
            document.Dispose();
            throw new ModelFormatException($"{path} is no JSON object.");
        }
        catch (JsonException error)
        {
            throw new ModelFormatException($"{path} is not JSON: {error.Message}", error);
        }
    }

    /// <summary>A text, or a list of named ones, of which "default" is taken.</summary>
    private static string? SourceOf(JsonElement config, string path)
    {
        if (!config.TryGetProperty("chat_template", out var value)) return null;
        if (value.ValueKind == JsonValueKind.Null) return null;
        if (value.ValueKind == JsonValueKind.String) return value.GetString();
        if (value.ValueKind == JsonValueKind.Array)
        {
            foreach (var named in value.EnumerateArray())
            {
                if (TextOf(named, "name") == "default" && TextOf(named, "template") is { } source) return source;
            }
        }

        throw new ModelFormatException(
            $"\"chat_template\" of {path} is neither a text nor a list with one named \"default\".");
    }

    /// <summary>Special tokens are texts, or objects with their text as "content".</summary>
    private static Dictionary<string, Value> Tokens(JsonElement config)
    {
        var tokens = new Dictionary<string, Value>();
        foreach (var name in SpecialTokens)
        {
            if (!config.TryGetProperty(name, out var value)) continue;
            var text = value.ValueKind == JsonValueKind.String ? value.GetString() : TextOf(value, "content");
            if (text is not null) tokens[name] = Value.Of(text);
        }

        return tokens;
    }

    private static string? TextOf(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object
            && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;
}
