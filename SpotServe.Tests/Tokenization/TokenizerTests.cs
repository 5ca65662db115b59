using System.Text;
using CsCheck;
using SpotServe.Seed.Tokenization;
using Xunit;

namespace SpotServe.Tests.Tokenization;

public sealed class TokenizerTests
{
    /// <summary>Text with everything that can go wrong: letters of all planes, spaces, marks, lone
    /// surrogates.</summary>
    private static readonly Gen<string> AnyText = Gen.OneOf(
        Gen.Char[' ', '~'].Select(c => c.ToString()),
        Gen.OneOfConst(" ", "  ", "\n", "\r\n", "'s", "don't", "\u2581", "\0"),
        Gen.OneOfConst("é", "e\u0301", "한", "日本", "😀", "👩‍👧", "𝒜"),
        Gen.Char.Select(c => c.ToString())).Array[0, 60].Select(string.Concat);

    [Fact]
    public void Byte_level_decoding_gives_back_any_text() =>
        AnyText.Sample(text => Assert.Equal(
            Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)),
            TokenizerFiles.Bundled.Decode([.. TokenizerFiles.Bundled.Encode(text, false)], false)));

    [Fact]
    public void Streamed_pieces_are_the_decoded_text_of_any_tokens_and_never_half_a_character() =>
        Gen.Int[0, 2047].Array[0, 80].Sample(ids => PiecesAreTheText(TokenizerFiles.Bundled, ids));

    [Fact]
    public void Streamed_pieces_are_the_decoded_text_with_byte_fallback_too()
    {
        var llama = TokenizerLoader.Load(TokenizerFiles.Shared("tokenizers", "llama2"));
        // Half of the tokens are bytes, so that characters are spelled, and broken.
        var id = Gen.OneOf(Gen.Int[3, 258], Gen.Int[0, 31_999]);
        id.Array[0, 60].Sample(ids => PiecesAreTheText(llama, ids));
        AnyText.Sample(text => PiecesAreTheText(llama, [.. llama.Encode(text, true)]));
    }

    [Fact]
    public void Streamed_pieces_are_the_decoded_text_of_a_small_tokenizer_with_byte_fallback()
    {
        var bytes = string.Join(", ", Enumerable.Range(0, 256).Select(b => $"\"<0x{b:X2}>\": {b}"));
        var json =
            $$"""
            {
              "added_tokens": [{"id": 300, "content": "<s>", "special": true, "normalized": false}],
              "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
                {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
              "model": {"byte_fallback": true, "vocab": { {{bytes}}, "\u2581": 256, "a": 257, "\u2581a": 258 },
                "merges": ["\u2581 a"]}
            }
            """;
        var tokenizer = TokenizerLoader.Parse(Encoding.UTF8.GetBytes(json), "my.json");

        Gen.OneOf(Gen.Int[128, 300], Gen.Int[0, 300]).Array[0, 60].Sample(ids => PiecesAreTheText(tokenizer, ids));
        AnyText.Sample(text => PiecesAreTheText(tokenizer, [.. tokenizer.Encode(text, true)]));
    }

    [Fact]
    public void Word_pattern_sees_letters_beyond_the_basic_plane_as_letters()
    {
        // With UTF-16 units these letters would be symbols, and the digits no numbers, cut apart from their neighbours.
        var tokenizer = ByteTokenizer(
            """{"type": "Split", "pattern": {"Regex": "\\p{L}+"}, "behavior": "Removed", "invert": true}""");

        var kept = tokenizer.Decode([.. tokenizer.Encode("𝒜b𝒞! 😀 𐐷", false)], false);

        Assert.Equal("𝒜b𝒞𐐷", kept);
    }

    [Theory]
    [InlineData("e\u0301", "\u00E9")]
    [InlineData("A\u030A \u212B", "\u00C5 \u00C5")]
    [InlineData("\u1112\u1161\u11AB", "\uD55C")]
    [InlineData("\uD55C\u11A8", "\uD55C\u11A8")]
    [InlineData("a\u0315\u0300\u05AE\u0062", "\u00E0\u05AE\u0315b")]
    [InlineData("\u0958", "\u0915\u093C")]
    [InlineData("\u1E9B\u0323", "\u1E9B\u0323")]
    [InlineData("\u0073\u0323\u0307", "\u1E69")]
    [InlineData("\U0001D15E", "\U0001D157\U0001D165")]
    [InlineData("\uF900", "\u8C48")]
    [InlineData("plain", "plain")]
    public void Nfc_composes_as_unicode_says(string text, string composed)
    {
        var tokenizer = ByteTokenizer("null", """{"type": "NFC"}""");

        Assert.Equal(composed, tokenizer.Decode([.. tokenizer.Encode(text, false)], false));
    }

    [Fact]
    public void Encoding_a_hundred_times_the_text_takes_no_thousand_times_as_long()
    {
        foreach (var unit in new[] { "a", " ", "the cat ", "e\u0301", "\u0301", "😀", "1", "'s" })
        {
            var shorter = Seconds(string.Concat(Enumerable.Repeat(unit, 2_000)));
            var longer = Seconds(string.Concat(Enumerable.Repeat(unit, 200_000 / unit.Length)));

            Assert.True(longer < 0.5 + (1_000 * shorter), $"\"{unit}\": {shorter:0.0000} s, then {longer:0.000} s");
            Assert.True(longer < 10, $"\"{unit}\": {longer:0.000} s");
        }

        // The time of this thread alone: what else the machine does counts for nothing.
        static double Seconds(string text)
        {
            var start = ThreadTime.OfThisThread();
            TokenizerFiles.Bundled.Encode(text, true);
            return (ThreadTime.OfThisThread() - start).TotalSeconds;
        }
    }

    [Fact]
    public void Pattern_that_runs_away_is_stopped_by_its_time_limit()
    {
        var tokenizer = ByteTokenizer(
            """{"type": "Split", "pattern": {"Regex": "(?:a|aa)+$"}, "behavior": "Isolated"}""");

        Assert.Throws<TextTooComplexException>(() => tokenizer.Encode(new string('a', 60) + "!", false));
    }

    /// <summary>One token for each byte, so that decoding shows what the stages before the model made of a
    /// text.</summary>
    private static ITokenizer ByteTokenizer(string preTokenizer, string normalizer = "null") =>
        TokenizerLoader.Parse(Encoding.UTF8.GetBytes(TokenizerJson.Bytes(preTokenizer, normalizer)), "bytes.json");

    private static void PiecesAreTheText(ITokenizer tokenizer, int[] ids)
    {
        foreach (var skips in new[] { false, true })
        {
            var decoder = tokenizer.StartDecoding(skips);
            List<string> pieces = [.. ids.Select(decoder.Push)];
            pieces.Add(decoder.Finish());

            Assert.All(pieces, piece => Assert.False(piece.Length > 0 && char.IsHighSurrogate(piece[^1])));
            Assert.Equal(tokenizer.Decode(ids, skips), string.Concat(pieces));
        }
    }
}
