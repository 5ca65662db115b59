using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using SpotServe.Tests.EndToEnd;
using SpotServe.Tests.Golden;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// The bundled model with one token whose embedding is no number: all stories are what they were, and whoever sends
/// that token gets logits that are no numbers.
/// </summary>
internal static class PoisonedStories
{
    private const string Embedding = "model.embed_tokens.weight";
    private const string Head = "lm_head.weight";
    private const ushort NotANumber = 0x7FC0;   // bfloat16

    /// <summary>A token of no story, as long as the vocabulary's end is not.</summary>
    public static int Token { get; } = Enumerable.Range(0, 2048).Reverse().First(token =>
        GoldenStories.Load().All(story => !story.PromptIds.Contains(token) && !story.Tokens.Contains(token)));

    /// <returns>The folder.</returns>
    public static string Write()
    {
        var folder = TemporaryFolders.Create();
        foreach (var file in Directory.GetFiles(SeedProcess.BundledModel))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)), overwrite: true);

        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!;
        // Tied, the token's logit would be no number for everybody.
        config["tie_word_embeddings"] = false;
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());

        var path = Path.Combine(folder, "model.safetensors");
        var bytes = File.ReadAllBytes(path);
        var headerBytes = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        var header = JsonNode.Parse(Encoding.UTF8.GetString(bytes, sizeof(long), headerBytes))!;
        var data = bytes.AsSpan(sizeof(long) + headerBytes);
        var embedding = header[Embedding]!;
        var (first, end) = ((int)embedding["data_offsets"]![0]!, (int)embedding["data_offsets"]![1]!);
        var rowBytes = (int)embedding["shape"]![1]! * sizeof(ushort);

        byte[] all = [.. data, .. data[first..end]];
        var row = all.AsSpan(first + (Token * rowBytes), rowBytes);
        for (var i = 0; i < row.Length; i += sizeof(ushort))
            BinaryPrimitives.WriteUInt16LittleEndian(row[i..], NotANumber);
        // A logit of 0, which is never the largest.
        all.AsSpan(data.Length + (Token * rowBytes), rowBytes).Clear();
        header[Head] = new JsonObject
        {
            ["dtype"] = (string)embedding["dtype"]!,
            ["shape"] = embedding["shape"]!.DeepClone(),
            ["data_offsets"] = new JsonArray(data.Length, all.Length),
        };
        var text = header.ToJsonString();
        SafetensorsWriter.Write(path, text.PadRight((text.Length + 7) / 8 * 8), all);
        return folder;
    }
}
