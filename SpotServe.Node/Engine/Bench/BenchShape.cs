using System.Collections.Immutable;
using System.Text.Json;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Node.Engine.Families;
using SpotServe.Node.Weights;

namespace SpotServe.Node.Engine.Bench;

/// <summary>Model shapes to measure with, known by their size.</summary>
/// <param name="HeadSize">Null is the hidden size shared out among the heads.</param>
/// <param name="Window">Tokens that a token looks back on; null is all.</param>
/// <param name="Family">config.json's model_type.</param>
public sealed record BenchShape(
    string Name, int Hidden, int Layers, int Heads, int KvHeads, int Intermediate, int Vocabulary,
    int? HeadSize = null, int? Window = null, string Family = "llama")
{
    private const int ContextMax = 4096;

    public static ImmutableArray<BenchShape> All { get; } =
    [
        new("tiny", 64, 2, 4, 2, 160, 512),
        new("160m", 768, 12, 12, 12, 2048, 32_000),
        new("1b", 2048, 22, 32, 4, 5632, 32_000),
        new("7b", 4096, 32, 32, 32, 11_008, 32_000),
        new("8b", 4096, 32, 32, 8, 14_336, 128_256),
        new("13b", 5120, 40, 40, 40, 13_824, 32_000),
        new("70b", 8192, 80, 64, 8, 28_672, 32_000),
    ];

    public static BenchShape Named(string name) => All.FirstOrDefault(shape => shape.Name == name)
        ?? throw new ArgumentException($"Shape \"{name}\" is none of {string.Join(", ", All.Select(s => s.Name))}.");

    /// <summary>Bytes of keys and values of one token in all layers.</summary>
    public long KvBytes(ElementType type) =>
        2L * Layers * KvHeads * (HeadSize ?? (Hidden / Heads)) * type.Bytes();

    /// <summary>Weights that one decode step reads: all but the embedding, of which it reads a row.</summary>
    public long WeightsRead
    {
        get
        {
            var size = (long)(HeadSize ?? (Hidden / Heads));
            var keys = size * KvHeads;
            var attention = (2L * Hidden * size * Heads) + (2L * Hidden * keys);
            var layer = attention + (3L * Hidden * Intermediate) + (2L * Hidden);
            return (layer * Layers) + Hidden + ((long)Vocabulary * Hidden);
        }
    }

    internal ModelConfig Config() => new(
        Family, Hidden, Layers, Heads, KvHeads, HeadSize ?? (Hidden / Heads), Intermediate, Vocabulary, ContextMax,
        NormEpsilon: 1e-5, TiedEmbeddings: false, RopeTheta: 10_000, RotaryFraction: 1, RopeScaling.None,
        SlidingWindow: Window, EndTokens: [], BeginToken: null, Raw: JsonDocument.Parse("{}").RootElement);

    internal ModelSpec Spec(ElementType type)
    {
        var config = Config();
        return ModelFamily.For(config).Describe(config, $"made-{Name}", "made", type);
    }
}

/// <summary>
/// Weights made in memory: small numbers of a repeating pattern, scaled so that activations neither vanish nor
/// explode. An element depends on its tensor's name and its place alone, so that slices of it are those of one model.
/// </summary>
internal unsafe class MadeWeights : IWeightSource
{
    private const int PatternLength = 65_521;

    private readonly float[] _pattern = new float[PatternLength];

    public MadeWeights()
    {
        var random = new Random(1);
        for (var i = 0; i < PatternLength; i++) _pattern[i] = (float)((random.NextDouble() * 2) - 1);
    }

    public virtual void Read(
        string name, IReadOnlyList<long> shape, Rectangle part, void* destination, ElementType type,
        Action<long> onBytes, CancellationToken cancel)
    {
        var isVector = shape.Count == 1;
        var scale = isVector ? 0.1f : MathF.Sqrt(3f / shape[1]);
        // Biases are small and around zero; norms scale around one.
        var centre = isVector && !name.EndsWith("bias", StringComparison.Ordinal) ? 1 : 0;
        var scaled = Array.ConvertAll(_pattern, value => (value * scale) + centre);
        var width = isVector ? 1 : shape[1];
        var isWhole = part.Columns.Count == width;
        var (runs, length) = isWhole ? (1L, part.Elements) : (part.Rows.Count, part.Columns.Count);
        var start = name.Aggregate(17L, (hash, letter) => ((hash * 31) + letter) % PatternLength);
        var to = (byte*)destination;
        fixed (float* source = scaled)
        {
            for (long run = 0; run < runs; run++)
            {
                cancel.ThrowIfCancellationRequested();
                var at = start + ((part.Rows.First + run) * width) + part.Columns.First;
                for (long done = 0; done < length;)
                {
                    var from = (at + done) % PatternLength;
                    var count = Math.Min(PatternLength - from, length - done);
                    ElementConversion.Convert(
                        (byte*)(source + from), ElementType.Float32, to, type, count);
                    done += count;
                    to += count * type.Bytes();
                }
            }
        }

        onBytes(part.Elements * type.Bytes());
    }
}
