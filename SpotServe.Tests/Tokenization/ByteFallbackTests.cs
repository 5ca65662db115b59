using System.Text;
using System.Text.Json;
using CsCheck;
using SpotServe.Seed.Tokenization;
using Xunit;

namespace SpotServe.Tests.Tokenization;

/// <summary>
/// A tokenizer of LLaMA 2's kind, small enough to work out by hand: spaces are marks, words are merged, what is in no
/// word is spelled in bytes. Stands in for the golden files where these are not beside the checkout.
/// </summary>
public sealed class ByteFallbackTests
{
    private const int Begin = 1;
    private const int FirstByte = 3;
    private const int Mark = 259;
    private const int A = 260;
    private const int B = 261;
    private const int Ab = 262;
    private const int MarkAb = 263;

    private static readonly ITokenizer Small = Load();

    public static TheoryData<string, int[]> Texts => new()
    {
        { "ab ab", [MarkAb, MarkAb] },
        { "a b", [Mark, A, Mark, B] },
        { "ba", [Mark, B, A] },
        { "aab", [Mark, A, Ab] },
        { "é", [Mark, FirstByte + 0xC3, FirstByte + 0xA9] },
        { "a\n", [Mark, A, FirstByte + '\n'] },
        { "😀b", [Mark, FirstByte + 0xF0, FirstByte + 0x9F, FirstByte + 0x98, FirstByte + 0x80, B] },
        { "  ab", [Mark, Mark, MarkAb] },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void Text_becomes_the_tokens_that_merges_and_bytes_make_and_comes_back(string text, int[] ids)
    {
        Assert.Equal(ids, Small.Encode(text, addSpecialTokens: false));
        Assert.Equal([Begin, .. ids], Small.Encode(text, addSpecialTokens: true));
        Assert.Equal(text, Small.Decode(ids, skipSpecialTokens: false));
        Assert.Equal(text, Small.Decode([Begin, .. ids], skipSpecialTokens: true));
    }

    [Fact]
    public void Streamed_pieces_are_the_decoded_text_of_any_bytes_and_words() =>
        Gen.OneOf(Gen.Int[FirstByte, FirstByte + 255], Gen.Int[0, MarkAb]).Array[0, 60].Sample(ids =>
        {
            var decoder = Small.StartDecoding(skipSpecialTokens: true);
            var streamed = new StringBuilder();
            foreach (var id in ids) streamed.Append(decoder.Push(id));
            streamed.Append(decoder.Finish());
            Assert.Equal(Small.Decode(ids, skipSpecialTokens: true), streamed.ToString());
        });

    private static ITokenizer Load()
    {
        var vocabulary = new Dictionary<string, int> { ["<unk>"] = 0, ["<s>"] = Begin, ["</s>"] = 2 };
        for (var value = 0; value < 256; value++) vocabulary[$"<0x{value:X2}>"] = FirstByte + value;
        foreach (var (text, id) in new[] { ("▁", Mark), ("a", A), ("b", B), ("ab", Ab), ("▁ab", MarkAb) })
            vocabulary[text] = id;
        return TokenizerLoader.Parse(Encoding.UTF8.GetBytes($$$"""
            {
              "added_tokens": [
                {"id": 0, "content": "<unk>", "special": true, "normalized": false},
                {"id": 1, "content": "<s>", "special": true, "normalized": false},
                {"id": 2, "content": "</s>", "special": true, "normalized": false}
              ],
              "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
              ]},
              "pre_tokenizer": null,
              "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]} } },
              "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}
              ]},
              "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                "vocab": {{{JsonSerializer.Serialize(vocabulary)}}}, "merges": ["a b", "▁ ab"]}
            }
            """), "small.json");
    }
}
