using System.Text;
using System.Text.Json;
using CsCheck;
using SpotServe.Actors.ModelFolder;
using SpotServe.Seed.Tokenization;
using Xunit;

namespace SpotServe.Tests.Tokenization;

/// <summary>Parts of published tokenizers, each on a tokenizer that is small enough to be read.</summary>
public sealed class TokenizerPartsTests
{
    private const string Marked =
        """
        {
          "added_tokens": [{"id": 9, "content": "<s>", "special": true, "normalized": false}],
          "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "SCHEME", "split": false},
          "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "SCHEME"},
          "model": {"type": "BPE", "vocab": {"\u2581": 0, "a": 1, "\u2581a": 2}, "merges": ["\u2581 a"]}
        }
        """;

    [Theory]
    [InlineData("always", "a<s>a a", "2 9 2 2")]
    [InlineData("first", "a<s>a a", "2 9 1 2")]
    [InlineData("first", "<s>a", "9 1")]
    [InlineData("first", " a", "2")]
    [InlineData("never", "a<s>a a", "1 9 1 2")]
    public void Metaspace_marks_the_texts_that_its_scheme_says(string scheme, string text, string ids)
    {
        var tokenizer = Parse(Marked.Replace("SCHEME", scheme, StringComparison.Ordinal));

        Assert.Equal(ids, string.Join(' ', tokenizer.Encode(text, false)));
    }

    [Theory]
    [InlineData("""{"type": "WhitespaceSplit"}""", " a b\u00A0\u3000c ", "a|b|c")]
    [InlineData("""{"type": "Whitespace"}""", "ab, c!?d", "ab|,|c|!?|d")]
    [InlineData("""{"type": "Punctuation"}""", "a,,b\u3002$", "a|,|,|b|\u3002|$")]
    [InlineData("""{"type": "Punctuation", "behavior": "Contiguous"}""", "a,,b", "a|,,|b")]
    [InlineData("""{"type": "BertPreTokenizer"}""", "a b.c", "a|b|.|c")]
    [InlineData("""{"type": "CharDelimiterSplit", "delimiter": "-"}""", "a--b-", "a|b")]
    [InlineData("""{"type": "Digits", "individual_digits": true}""", "a12", "a|1|2")]
    [InlineData("""{"type": "Split", "pattern": {"String": "."}, "behavior": "Removed"}""", "a..b.c", "a|b|c")]
    [InlineData("""{"type": "Split", "pattern": {"String": "."}, "behavior": "Isolated"}""", "a..b", "a|.|.|b")]
    [InlineData("""{"type": "Split", "pattern": {"String": "."}, "behavior": "Contiguous"}""", "a..b", "a|..|b")]
    [InlineData(
        """{"type": "Split", "pattern": {"String": "."}, "behavior": "MergedWithPrevious"}""", ".a..b", ".|a.|.|b")]
    [InlineData("""{"type": "Split", "pattern": {"String": "."}, "behavior": "MergedWithNext"}""", "a..b.", "a|.|.b|.")]
    [InlineData(
        """{"type": "Split", "pattern": {"Regex": "[a-c]+"}, "behavior": "Removed", "invert": true}""", "1ab2c",
        "ab|c")]
    [InlineData(
        """{"type": "Split", "pattern": {"Regex": "(?=(\\d{3})+(?!\\d))"}, "behavior": "Isolated"}""",
        "a1234567", "a1|234|567")]
    [InlineData("""{"type": "Split", "pattern": {"Regex": "\\p{Han}"}, "behavior": "Isolated"}""", "ab漢字",
        "ab|漢|字")]
    public void Pre_tokenizer_cuts_the_text_into_words(string stage, string text, string words)
    {
        var cut = new List<Word>();
        using var document = JsonDocument.Parse(stage);
        TokenizerStages.PreTokenizer(new JsonField(document.RootElement, "my.json", ""))!.Split(
            new Word(text, true), cut);

        Assert.Equal(words, string.Join('|', cut.Select(word => word.Text)));
        Assert.All(cut.Skip(1), word => Assert.False(word.IsAtStart));
    }

    [Theory]
    [InlineData("NFKC", "\uFB01 \uFF21\u30AB\u3099 \u2460 e\u0301 \u1E9B\u0323", "fi A\u30AC 1 \u00E9 \u1E69")]
    [InlineData("NFKD", "\uFB01\u00E9\u1E9B\u0323", "fie\u0301s\u0323\u0307")]
    [InlineData("NFKC", "\uFDFA \u33A5 \u00BD \U0001D400\u00A0b", "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 "
        + "\u0639\u0644\u064A\u0647 \u0648\u0633\u0644\u0645 m3 1\u20442 A b")]
    [InlineData("NFD", "\u00E9\uFB01\uD55C", "e\u0301\uFB01\u1112\u1161\u11AB")]
    [InlineData("NFC", "e\u0301\uFB01", "\u00E9\uFB01")]
    [InlineData("Lowercase", "ABC\u0130\u03A3", "abci\u0307\u03C3")]
    [InlineData("Strip", " \u3000a b\n", "a b")]
    [InlineData("StripAccents", "e\u0301\u00E9", "e\u00E9")]
    [InlineData("ByteLevel", " \u00E9", "\u0120\u00C3\u00A9")]
    public void Normalizer_changes_the_text(string type, string text, string normalized)
    {
        using var document = JsonDocument.Parse($$"""{"type": "{{type}}"}""");

        var normalizer = TokenizerStages.Normalizer(new JsonField(document.RootElement, "my.json", ""))!;

        Assert.Equal(normalized, normalizer.Normalize(text));
    }

    [Fact]
    public void Without_a_decoder_tokens_are_decoded_with_spaces_between()
    {
        var tokenizer = Parse("""{"decoder": null, "model": {"vocab": {"a": 0, "b": 1}, "merges": []}}""");
        var after = tokenizer.ContinueDecoding([0], hasMore: false, skipSpecialTokens: true);

        Assert.Equal("a b a", tokenizer.Decode([0, 1, 0], false));
        Assert.Equal(" b", after.Push(1));
    }

    [Fact]
    public void Added_token_that_is_listed_twice_is_one_token_found_as_the_last_entry_says()
    {
        var tokenizer = Parse(
            """
            {
              "added_tokens": [
                {"id": 7, "content": "<x>", "special": false, "normalized": false},
                {"id": 5, "content": "b", "special": false, "normalized": false},
                {"id": 8, "content": "<x>", "special": true, "normalized": false, "lstrip": true}
              ],
              "decoder": {"type": "Fuse"},
              "model": {"vocab": {"a": 0, "b": 1, " ": 2}, "merges": []}
            }
            """);

        Assert.Equal([0, 7, 1], tokenizer.Encode("a <x>b", false));
        Assert.Equal("ab", tokenizer.Decode([0, 7, 1], skipSpecialTokens: true));
    }

    [Theory]
    [InlineData("RobertaProcessing", "\"trim_offsets\": true,")]
    [InlineData("BertProcessing", "")]
    public void Prompt_gets_the_tokens_of_its_post_processor(string type, string more)
    {
        var tokenizer = Parse(
            $$"""
            {
              "post_processor": {"type": "{{type}}", {{more}} "sep": ["</s>", 2], "cls": ["<s>", 1]},
              "decoder": null, "model": {"vocab": {"a": 0, "<s>": 1, "</s>": 2}, "merges": []}
            }
            """);

        Assert.Equal([1, 0, 2], tokenizer.Encode("a", true));
        Assert.Equal([0], tokenizer.Encode("a", false));
    }

    [Fact]
    public void Random_bytes_in_a_tokenizer_give_a_tokenizer_or_one_line_that_names_the_file()
    {
        var sources = new[] { Marked, TokenizerJson.Bytes() }.Select(Encoding.UTF8.GetBytes).ToArray();
        Gen.Select(Gen.Int[0, 1], Gen.Select(Gen.Int[0, 3000], Gen.Byte).Array[1, 4], Gen.Int[0, 4000]).Sample(
            (which, changes, end) =>
            {
                var bytes = sources[which].ToArray();
                foreach (var (at, value) in changes) bytes[at % bytes.Length] = value;
                try
                {
                    TokenizerLoader.Parse(end < 3000 ? bytes : bytes[..(end % bytes.Length)], "my.json")
                        .Encode("a <s> b", true);
                }
                catch (ModelFormatException error)
                {
                    Assert.StartsWith("my.json: ", error.Message, StringComparison.Ordinal);
                    Assert.DoesNotContain('\n', error.Message);
                }
            },
            iter: 1000);
    }

    private static ITokenizer Parse(string json) => TokenizerLoader.Parse(Encoding.UTF8.GetBytes(json), "my.json");
}
