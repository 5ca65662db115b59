using System.Text.Json;
using SpotServe.Seed.Tokenization;
using Xunit;

namespace SpotServe.Tests.Tokenization;

public sealed class GoldenTokenizerTests
{
    [Theory]
    [InlineData("gpt-neox")]
    [InlineData("llama2")]
    [InlineData("llama3")]
    [InlineData("qwen3")]
    public void Tokenizer_gives_the_golden_ids_and_texts(string name) =>
        MatchesGolden(TokenizerLoader.Load(TokenizerFiles.Shared("tokenizers", name)), name);

    [Fact]
    public void Tokenizer_with_normalized_special_tokens_gives_the_golden_ids_and_texts() =>
        MatchesGolden(
            TokenizerLoader.Load(TokenizerFiles.Shared("models", "infinitensor-story")), "infinitensor-story");

    [Fact]
    public void Bundled_tokenizer_gives_the_ids_that_the_model_was_trained_with()
    {
        var golden = Path.Combine(TokenizerFiles.BundledFolder, "golden.json");
        using var document = JsonDocument.Parse(File.ReadAllBytes(golden));

        foreach (var test in document.RootElement.GetProperty("cases").EnumerateArray())
        {
            var prompt = test.GetProperty("prompt").GetString()!;
            Assert.Equal(Ids(test.GetProperty("prompt_ids")), TokenizerFiles.Bundled.Encode(prompt, true));
            Assert.Equal(
                test.GetProperty("text").GetString(),
                TokenizerFiles.Bundled.Decode(Ids(test.GetProperty("greedy_ids")), skipSpecialTokens: true));
        }
    }

    private static void MatchesGolden(ITokenizer tokenizer, string name)
    {
        var file = TokenizerFiles.Shared("golden", "tokenizers", $"{name}.json");
        using var document = JsonDocument.Parse(File.ReadAllBytes(file));
        if (document.RootElement.TryGetProperty("vocab", out var size))
            Assert.Equal(size.GetInt32(), tokenizer.VocabularySize);

        foreach (var test in document.RootElement.GetProperty("cases").EnumerateArray())
        {
            var text = test.GetProperty("text").GetString()!;
            var ids = Ids(test.GetProperty("ids"));
            Assert.Equal(ids, tokenizer.Encode(text, addSpecialTokens: true));
            if (test.TryGetProperty("ids_no_special", out var plain))
                Assert.Equal(Ids(plain), tokenizer.Encode(text, addSpecialTokens: false));

            // A case with one text only was decoded with its special tokens.
            var hasBoth = test.TryGetProperty("decoded_keep_special", out var kept);
            var keeping = hasBoth ? kept : test.GetProperty("decoded");
            Assert.Equal(keeping.GetString(), tokenizer.Decode(ids, skipSpecialTokens: false));
            if (hasBoth)
            {
                Assert.Equal(
                    test.GetProperty("decoded").GetString(), tokenizer.Decode(ids, skipSpecialTokens: true));
            }
        }
    }

    private static int[] Ids(JsonElement array) => [.. array.EnumerateArray().Select(id => id.GetInt32())];
}
