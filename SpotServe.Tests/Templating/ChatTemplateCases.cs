using System.Text.Json.Nodes;
using SpotServe.Seed.Templating;

namespace SpotServe.Tests.Templating;

/// <summary>Templates in the manner of published ones, and made conversations.</summary>
internal static class ChatTemplateCases
{
    public static IReadOnlyList<string> Templates { get; } =
        [.. Directory.GetFiles(Folder("templates"), "*.jinja").Order(StringComparer.Ordinal)];

    public static IReadOnlyList<JsonArray> Conversations { get; } =
    [
        [Says("user", "Hi")],
        [
            Says("system", "Be brief. "), Says("user", " What is 2+2?\n"), Says("assistant", "4"),
            Says("user", "and 3+3?"),
        ],
        [
            Says("user", "a\n\nb"), Says("assistant", " <think>x</think>\n\nc  "),
            Says("user", "{{ not a tag }} {% nor this %}"),
        ],
        [Says("assistant", "Out of order"), Says("user", "ok")],
        [Says("user", "Grüße, 日本 😀 \"quoted\" 'single' \\ back\tslash")],
        [Says("user", ""), Says("assistant", ""), Says("user", "   ")],
        [Says("system", "s"), Says("system", "t"), Says("user", "u")],
        [.. Enumerable.Range(0, 13).Select(turn => Says(turn % 2 == 0 ? "user" : "assistant", $"turn {turn}"))],
    ];

    /// <summary>What a template is given for a conversation.</summary>
    public static JsonObject Variables(JsonArray messages, bool addGenerationPrompt) => new()
    {
        ["messages"] = messages.DeepClone(),
        ["add_generation_prompt"] = addGenerationPrompt,
        ["bos_token"] = "<s>",
        ["eos_token"] = "</s>",
    };

    public static IReadOnlyDictionary<string, Value> Values(JsonObject variables) => variables.ToDictionary(
        variable => variable.Key,
        variable => JsonWriting.FromJson(System.Text.Json.JsonSerializer.SerializeToElement(variable.Value)));

    public static string Folder(string name) =>
        Path.Combine(Tidy.Checkout.Root, "SpotServe.Tests", "Templating", name);

    private static JsonObject Says(string role, string content) =>
        new JsonObject { ["role"] = role, ["content"] = content };
}
