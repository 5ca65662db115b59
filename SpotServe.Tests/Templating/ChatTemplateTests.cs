using System.Text.Json;
using SpotServe.Actors.ModelFolder;
using SpotServe.Seed.Templating;
using SpotServe.Tests.Tokenization;
using Xunit;

namespace SpotServe.Tests.Templating;

public sealed class ChatTemplateTests
{
    [Theory]
    [InlineData("llama3")]
    [InlineData("qwen3")]
    public void Published_templates_give_the_golden_prompts(string name)
    {
        var template = ChatTemplate.Open(TokenizerFiles.Shared("tokenizers", name))!;
        using var golden = JsonDocument.Parse(
            File.ReadAllBytes(TokenizerFiles.Shared("golden", "tokenizers", $"{name}.chat.json")));

        var rendered = golden.RootElement.EnumerateArray().Select(item => (
            Ours: Render(template, item.GetProperty("messages")),
            Golden: item.GetProperty("rendered").GetString())).ToList();

        Assert.NotEmpty(rendered);
        Assert.All(rendered, pair => Assert.Equal(pair.Golden, pair.Ours));
    }

    [Fact]
    public void A_file_of_its_own_comes_before_the_tokenizers_configuration()
    {
        using var folder = new ModelFolder();
        folder.Write("tokenizer_config.json", """{"chat_template": "config", "bos_token": {"content": "<s>"}}""");
        folder.Write("chat_template.jinja", "{{ bos_token }}file");

        Assert.Equal("<s>file", Render(ChatTemplate.Open(folder.Path)!, NoMessages));
    }

    [Fact]
    public void Of_several_named_templates_the_default_is_taken()
    {
        using var folder = new ModelFolder();
        folder.Write(
            "tokenizer_config.json",
            """{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}""");

        Assert.Equal("d", Render(ChatTemplate.Open(folder.Path)!, NoMessages));
    }

    [Fact]
    public void A_folder_without_one_has_none()
    {
        using var folder = new ModelFolder();
        folder.Write("tokenizer_config.json", """{"bos_token": null}""");

        Assert.Null(ChatTemplate.Open(folder.Path));
    }

    [Theory]
    [InlineData("tokenizer_config.json", "[]", "is not a JSON object")]
    [InlineData("tokenizer_config.json", "{", "is not JSON")]
    [InlineData("tokenizer_config.json", """{"chat_template": 7}""", "neither a text nor a list")]
    [InlineData("tokenizer_config.json", """{"a": {"\ud800": 1}, "chat_template": ""}""", "half of a surrogate pair")]
    [InlineData("tokenizer_config.json", """{"chat_template": "\udc00"}""", "must be a text")]
    [InlineData("tokenizer_config.json", """{"chat_template": "", "bos_token": "\ud800"}""", "must be a text")]
    [InlineData("tokenizer_config.json", """{"chat_template": [{"name": "\ud800"}]}""", "neither a text nor a list")]
    [InlineData("chat_template.jinja", "{{ x | frobnicate }}", "line 1: the filter 'frobnicate' is not known")]
    public void One_that_cannot_be_used_is_refused_with_file_and_place(string file, string text, string expected)
    {
        using var folder = new ModelFolder();
        folder.Write(file, text);

        var error = Assert.Throws<ModelFormatException>(() => ChatTemplate.Open(folder.Path));

        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Contains(folder.Path, error.Message, StringComparison.Ordinal);
    }

    private static JsonElement NoMessages => JsonSerializer.SerializeToElement(Array.Empty<int>());

    private static string Render(ChatTemplate template, JsonElement messages) =>
        template.Render(JsonWriting.FromJson(messages), addGenerationPrompt: true, [], DateTimeOffset.UnixEpoch);

    private sealed class ModelFolder : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("spotserve-template-");

        public string Path => _folder.FullName;

        public void Write(string name, string text) => File.WriteAllText(System.IO.Path.Combine(Path, name), text);

        public void Dispose() => _folder.Delete(recursive: true);
    }
}
