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
    private const string Key = "chat_template";

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
        var configPath = Path.Combine(folder, ConfigName);
        var config = File.Exists(configPath) ? new ConfigFile(configPath) : null;
        var file = Path.Combine(folder, FileName);
        var (path, source) = File.Exists(file)
            ? (file, File.ReadAllText(file))
            : (configPath, config is null ? null : SourceOf(config));
        if (source is null) return null;
        try
        {
            var tokens = config is null ? [] : Tokens(config);
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

    /// <summary>A text, or a list of named ones, of which "default" is taken.</summary>
    private static string? SourceOf(ConfigFile config)
    {
        if (!config.Has(Key)) return null;
        var value = config.Root.GetProperty(Key);
        if (value.ValueKind == JsonValueKind.String) return config.Text(Key);
        if (value.ValueKind == JsonValueKind.Array)
        {
            foreach (var named in value.EnumerateArray())
            {
                if (TextOf(named, "name") == "default" && TextOf(named, "template") is { } source) return source;
            }
        }

        throw new ModelFormatException(
            $"\"{Key}\" of {config.Path} is neither a text nor a list with one named \"default\".");
    }

    /// <summary>Special tokens are texts, or objects with their text as "content".</summary>
    private static Dictionary<string, Value> Tokens(ConfigFile config)
    {
        var tokens = new Dictionary<string, Value>();
        foreach (var name in SpecialTokens)
        {
            if (!config.Has(name)) continue;
            var value = config.Root.GetProperty(name);
            var text = value.ValueKind == JsonValueKind.String ? config.Text(name) : TextOf(value, "content");
            if (text is not null) tokens[name] = Value.Of(text);
        }

        return tokens;
    }

    private static string? TextOf(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value)
            ? JsonTexts.Of(value)
            : null;
}
