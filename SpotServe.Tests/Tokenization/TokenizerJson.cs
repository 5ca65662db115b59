using System.Text.Json;

namespace SpotServe.Tests.Tokenization;

/// <summary>Small tokenizer.json files.</summary>
internal static class TokenizerJson
{
    /// <summary>A byte-level tokenizer without merges: each byte is a token.</summary>
    public static string Bytes(string preTokenizer = "null", string normalizer = "null")
    {
        var printable = Enumerable.Range(0, 256)
            .Where(b => b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF)).ToHashSet();
        var next = 256;
        var vocabulary = Enumerable.Range(0, 256)
            .ToDictionary(b => ((char)(printable.Contains(b) ? b : next++)).ToString(), b => b);
        const string byteLevel = """{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}""";
        var stages = preTokenizer == "null" ? byteLevel : $"{preTokenizer}, {byteLevel}";
        return $$"""
            {
              "added_tokens": [],
              "normalizer": {{normalizer}},
              "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{{stages}}]},
              "post_processor": null,
              "decoder": {"type": "ByteLevel"},
              "model": {"type": "BPE", "vocab": {{JsonSerializer.Serialize(vocabulary)}}, "merges": []}
            }
            """;
    }
}
