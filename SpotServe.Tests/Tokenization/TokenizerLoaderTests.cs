using System.Text;
using SpotServe.Actors.ModelFolder;
using SpotServe.Seed.Tokenization;
using Xunit;

namespace SpotServe.Tests.Tokenization;

public sealed class TokenizerLoaderTests
{
    [Theory]
    [InlineData("\"vocab\"", "\"vocabulary\"", "model.vocabulary")]
    [InlineData("\"BPE\"", "\"Unigram\"", "model.type")]
    [InlineData("\"merges\": []", "\"merges\": [\"a b c\"]", "model.merges[0]")]
    [InlineData("\"merges\": []", "\"merges\": [[\"a\", \"zz\"]]", "model.merges[0]")]
    [InlineData("\"merges\": []", "\"merges\": {}", "model.merges")]
    [InlineData("\"merges\": []", "\"merges\": [], \"unk_token\": \"<unk>\"", "model.unk_token")]
    [InlineData("\"merges\": []", "\"merges\": [], \"end_of_word_suffix\": \"</w>\"", "model.end_of_word_suffix")]
    [InlineData("\"a\":97", "\"a\":-1", "model.vocab[\"a\"]")]
    [InlineData("\"a\":97", "\"a\":2000000000", "model.vocab[\"a\"]")]
    [InlineData("\"normalizer\": null", "\"normalizer\": {\"type\": \"Nmt\"}", "normalizer.type")]
    [InlineData(
        "\"normalizer\": null", "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [null]}",
        "normalizer.normalizers[0]")]
    [InlineData("\"pretokenizers\": [", "\"pretokenizers\": [null, ", "pre_tokenizer.pretokenizers[0]")]
    [InlineData("\"post_processor\": null", "\"post_processor\": {\"type\": \"Bert\"}", "post_processor.type")]
    [InlineData("\"decoder\": {\"type\": \"ByteLevel\"}", "\"decoder\": {\"type\": \"CTC\"}", "decoder.type")]
    [InlineData("\"merges\": []", "\"merges\": [], \"dropout\": 0.1", "model.dropout")]
    [InlineData("\"merges\": []", "\"merges\": [], \"max_input_chars_per_word\": 7", "model.max_input_chars_per_word")]
    [InlineData("\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\", \"x\": 1}", "normalizer.x")]
    [InlineData("\"normalizer\": null", "\"normalizer\": null, \"extra\": 1", "extra")]
    [InlineData("\"added_tokens\": []", "\"added_tokens\": [{\"id\": 1}]", "added_tokens[0].content")]
    [InlineData("\"added_tokens\": []", "\"added_tokens\": [{\"content\": \"x\"}]", "added_tokens[0].id")]
    [InlineData(
        "{\"type\": \"ByteLevel\", \"add",
        "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a++(\"}, \"behavior\": \"Isolated\"}, " +
        "{\"type\": \"ByteLevel\", \"add",
        "pre_tokenizer.pretokenizers[0].pattern.Regex")]
    public void Loader_names_file_and_field_when_it_cannot_use_one(string part, string replacement, string field)
    {
        var json = TokenizerJson.Bytes();
        Assert.Contains(part, json, StringComparison.Ordinal);

        var error = Assert.Throws<ModelFormatException>(
            () => Parse(json.Replace(part, replacement, StringComparison.Ordinal)));

        Assert.StartsWith("my.json: ", error.Message, StringComparison.Ordinal);
        Assert.Contains($"\"{field}\"", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"model\": {\"vocab\": {\"a\": \"\\ud800\"}}}")]
    [InlineData("{\"model\": {\"unk_token\": \"\\ud800\", \"vocab\": {}}}")]
    public void Loader_refuses_what_is_no_tokenizer_with_the_files_name(string json)
    {
        var error = Assert.Throws<ModelFormatException>(() => Parse(json));

        Assert.StartsWith("my.json: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Loader_refuses_nesting_and_tokens_beyond_its_bounds()
    {
        Assert.Throws<ModelFormatException>(() => Parse(string.Concat(Enumerable.Repeat("[", 100_000))));
        Assert.Throws<ModelFormatException>(() => Parse(
            TokenizerJson.Bytes().Replace("\"a\":97", $"\"{new string('a', 5000)}\":97", StringComparison.Ordinal)));
    }

    [Fact]
    public void Loader_names_the_file_that_is_missing()
    {
        var error = Assert.Throws<ModelFormatException>(() => TokenizerLoader.Load("/nowhere/at/all"));

        Assert.Contains("/nowhere/at/all/tokenizer.json", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Added_tokens_match_longest_first_and_strip_and_keep_to_words()
    {
        const string added =
            """
            "added_tokens": [
              {"id": 300, "content": "<x>", "special": true, "normalized": false},
              {"id": 301, "content": "<x><y>", "special": false, "normalized": false, "lstrip": true, "rstrip": true},
              {"id": 302, "content": "cat", "special": false, "normalized": false, "single_word": true}
            ]
            """;
        var tokenizer = Parse(TokenizerJson.Bytes().Replace("\"added_tokens\": []", added, StringComparison.Ordinal));

        Assert.Equal(['a', 301, 'b', 300], tokenizer.Encode("a <x><y> b<x>", false));
        Assert.Equal([302, ' ', 'c', 'a', 't', 's', ' ', 302], tokenizer.Encode("cat cats cat", false));
        Assert.Equal(
            "a<x><y>b", tokenizer.Decode([.. tokenizer.Encode("a<x><y>b<x>", false)], skipSpecialTokens: true));
        Assert.Equal((300, 303), (tokenizer.IdOf("<x>"), tokenizer.VocabularySize));
    }

    [Fact]
    public void Metaspace_tokenizer_gives_back_its_text()
    {
        const string json =
            """
            {
              "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
              "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
              "model": {"type": "BPE", "vocab": {"▁": 0, "a": 1, "b": 2, "▁a": 3, "ab": 4},
                "merges": ["▁ a", "a b"]}
            }
            """;
        var tokenizer = Parse(json);

        Assert.Equal([3, 2, 0, 2, 3, 1], tokenizer.Encode("ab b aa", false));
        Assert.Equal("ab b aa", tokenizer.Decode([3, 2, 0, 2, 3, 1], false));
    }

    private static ITokenizer Parse(string json) => TokenizerLoader.Parse(Encoding.UTF8.GetBytes(json), "my.json");
}
