using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpotServe.Tests.Golden;

/// <summary>Reference values of a model: golden.json as its maker wrote it.</summary>
internal sealed record GoldenValues
{
    [JsonPropertyName("matrix_scale")] public float MatrixScale { get; init; }

    [JsonPropertyName("tensors")] public Dictionary<string, long[]> Tensors { get; init; } = [];

    [JsonPropertyName("cases")] public GoldenCase[] Cases { get; init; } = [];

    public static GoldenValues Load(string folder) => JsonSerializer.Deserialize<GoldenValues>(
        File.ReadAllBytes(Path.Combine(folder, "golden.json")))!;
}

/// <summary>One prompt, the logits after it, and its greedy continuation.</summary>
internal sealed record GoldenCase
{
    /// <summary>A step whose two best logits are closer than this may go either way.</summary>
    private const double GapMin = 1e-3;

    [JsonPropertyName("prompt_ids")] public int[] Prompt { get; init; } = [];

    [JsonPropertyName("last_logits")] public float[] LastLogits { get; init; } = [];

    [JsonPropertyName("greedy_ids")] public int[] Greedy { get; init; } = [];

    [JsonPropertyName("top2_gaps")] public double[] Top2Gaps { get; init; } = [];

    [JsonPropertyName("gaps")] public double[] Gaps { get; init; } = [];

    /// <summary>The greedy tokens before the first step that rounding may decide.</summary>
    public int[] SureTokens
    {
        get
        {
            var unsure = Array.FindIndex([.. Top2Gaps, .. Gaps], gap => gap < GapMin);
            return unsure < 0 ? Greedy : Greedy[..unsure];
        }
    }
}

/// <summary>Writes the checkpoint of a golden model, whose weights are a formula of their names.</summary>
internal static class GoldenModel
{
    /// <summary>A model folder for one of Golden/models, made once per process.</summary>
    public static string Folder(string name) => Made.GetOrAdd(name, Make);

    private static readonly System.Collections.Concurrent.ConcurrentDictionary<string, string> Made = new();

    public static string Source(string name) => Checkout.Of("SpotServe.Tests", "Golden", "models", name);

    /// <summary>Weight <paramref name="index"/> (row-major) of a tensor before scaling, in [-1, 1).</summary>
    public static float Unit(ulong nameHash, ulong index)
    {
        var z = nameHash + ((index + 1) * 0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        z ^= z >> 31;
        return ((float)(z >> 40) * (1f / (1 << 23))) - 1f;
    }

    public static ulong Fnv1A(string name)
    {
        var hash = 14695981039346656037;
        foreach (var b in Encoding.UTF8.GetBytes(name)) hash = (hash ^ b) * 1099511628211;
        return hash;
    }

    public static float[] Weights(string name, long[] shape, float matrixScale)
    {
        var hash = Fnv1A(name);
        var weights = new float[shape.Aggregate(1L, (product, n) => product * n)];
        for (var i = 0; i < weights.Length; i++)
        {
            var unit = Unit(hash, (ulong)i);
            weights[i] = shape.Length > 1 ? unit * matrixScale
                : name.EndsWith("bias", StringComparison.Ordinal) ? unit * 0.125f : (unit * 0.125f) + 1;
        }

        return weights;
    }

    private static string Make(string name)
    {
        var values = GoldenValues.Load(Source(name));
        var folder = TemporaryFolders.Create();
        File.Copy(Path.Combine(Source(name), "config.json"), Path.Combine(folder, "config.json"));
        SafetensorsWriter.Write(
            Path.Combine(folder, "model.safetensors"),
            values.Tensors.Select(tensor =>
                (tensor.Key, tensor.Value, Weights(tensor.Key, tensor.Value, values.MatrixScale))));
        return folder;
    }
}
