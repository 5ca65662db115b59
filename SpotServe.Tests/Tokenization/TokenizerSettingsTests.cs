using System.Text;
using SpotServe.Actors.ModelFolder;
using SpotServe.Seed.Tokenization;
using Xunit;

namespace SpotServe.Tests.Tokenization;

/// <summary>tokenizer_config.json is applied as transformers 5 does, or refused by name.</summary>
public sealed class TokenizerSettingsTests
{
    private const string Tokenizer =
        """
        {
          "added_tokens": [{"id": 3, "content": "<u>", "special": false, "normalized": false}],
          "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
          "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
          "decoder": {"type": "ByteLevel"},
          "model": {"vocab": {"a": 0, "<s>": 1, "</s>": 2, "<": 4, "s": 5, ">": 6}, "merges": []}
        }
        """;

    [Theory]
    [InlineData("{}", "1 0")]
    [InlineData("""{"add_bos_token": true, "bos_token": "<s>"}""", "1 0")]
    [InlineData("""{"add_bos_token": false, "bos_token": "<s>"}""", "0")]
    [InlineData("""{"add_bos_token": null, "bos_token": "<s>"}""", "1 0")]
    [InlineData("""{"add_bos_token": true}""", "0")]
    [InlineData("""{"add_bos_token": true, "bos_token": ""}""", "0")]
    [InlineData("""{"add_eos_token": true, "eos_token": {"content": "</s>"}, "bos_token": "<s>"}""", "0 2")]
    [InlineData("""{"add_bos_token": true, "add_eos_token": true, "bos_token": "<s>", "eos_token": "</s>"}""", "1 0 2")]
    public void Prompt_has_the_tokens_around_it_that_are_asked_for(string settings, string ids) =>
        Assert.Equal(ids, string.Join(' ', Parse(settings).Encode("a", true)));

    [Fact]
    public void Named_tokens_are_special_ones_and_found_in_texts()
    {
        var plain = Parse("{}");
        var tokenizer = Parse(
            """
            {"bos_token": "<s>", "additional_special_tokens": ["<u>", "<new>"], "my_own_token": "</s>",
             "added_tokens_decoder": {"9": {"content": "aa", "special": false, "normalized": false}}}
            """);

        Assert.Equal([4, 5, 6], plain.Encode("<s>", false));
        Assert.Equal([1, 3, 10, 2, 9], tokenizer.Encode("<s><u><new></s>aa", false));
        Assert.Equal("<u>aa", plain.Decode([3], true) + tokenizer.Decode([1, 3, 10, 2, 9], true));
    }

    [Theory]
    [InlineData("""{"split_special_tokens": true}""", "split_special_tokens")]
    [InlineData("""{"do_lower_case": true}""", "do_lower_case")]
    [InlineData("""{"add_prefix_space": true}""", "add_prefix_space")]
    [InlineData("""{"add_bos_token": "yes"}""", "add_bos_token")]
    [InlineData("""{"bos_token": 7}""", "bos_token")]
    [InlineData("""{"bos_token": {"content": "<s>", "odd": 1}}""", "bos_token.odd")]
    [InlineData("""{"something_new": 1}""", "something_new")]
    [InlineData("""{"added_tokens_decoder": {"x": {"content": "a"}}}""", "added_tokens_decoder.x")]
    [InlineData("""{"added_tokens_decoder": []}""", "added_tokens_decoder")]
    [InlineData("[]", "object")]
    [InlineData("{", "JSON")]
    public void What_cannot_be_applied_is_refused_by_name(string settings, string name)
    {
        var error = Assert.Throws<ModelFormatException>(() => Parse(settings));

        Assert.Contains("tokenizer_config.json", error.Message, StringComparison.Ordinal);
        Assert.Contains(name, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    private static ITokenizer Parse(string settings) => TokenizerLoader.Parse(
        Encoding.UTF8.GetBytes(Tokenizer), "tokenizer.json",
        TokenizerSettings.Parse(Encoding.UTF8.GetBytes(settings), "tokenizer_config.json"));
}
