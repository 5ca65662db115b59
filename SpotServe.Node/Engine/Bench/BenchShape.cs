using System.Collections.Immutable;
using System.Text.Json;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;
using SpotServe.Node.Engine.Families;
using SpotServe.Node.Weights;

namespace SpotServe.Node.Engine.Bench;

/// <summary>LLaMA shapes to measure with, known by their size.</summary>
public sealed record BenchShape(
    string Name, int Hidden, int Layers, int Heads, int KvHeads, int Intermediate, int Vocabulary)
{
    private const int ContextMax = 4096;

    public static ImmutableArray<BenchShape> All { get; } =
    [
        new("tiny", 64, 2, 4, 2, 160, 512),
        new("160m", 768, 12, 12, 12, 2048, 32_000),
        new("1b", 2048, 22, 32, 4, 5632, 32_000),
        new("7b", 4096, 32, 32, 32, 11_008, 32_000),
    ];

    public static BenchShape Named(string name) => All.FirstOrDefault(shape => shape.Name == name)
        ?? throw new ArgumentException($"Shape \"{name}\" is none of {string.Join(", ", All.Select(s => s.Name))}.");

    /// <summary>Weights that one decode step reads: all but the embedding, of which it reads a row.</summary>
    public long WeightsRead
    {
        get
        {
            var keys = (long)Hidden / Heads * KvHeads;
            var layer = (2L * Hidden * Hidden) + (2L * Hidden * keys) + (3L * Hidden * Intermediate) + (2L * Hidden);
            return (layer * Layers) + Hidden + ((long)Vocabulary * Hidden);
        }
    }

    internal ModelConfig Config() => new(
        "llama", Hidden, Layers, Heads, KvHeads, Hidden / Heads, Intermediate, Vocabulary, ContextMax,
        NormEpsilon: 1e-5, TiedEmbeddings: false, RopeTheta: 10_000, RotaryFraction: 1, RopeScaling.None,
        SlidingWindow: null, EndTokens: [], BeginToken: null, Raw: JsonDocument.Parse("{}").RootElement);

    internal ModelSpec Spec(ElementType type)
    {
        var config = Config();
        return ModelFamily.For(config).Describe(config, $"made-{Name}", "made", type);
    }
}

/// <summary>
/// Weights made in memory: small numbers of a repeating pattern, scaled so that activations neither vanish nor explode.
/// </summary>
internal sealed unsafe class MadeWeights : IWeightSource
{
    private const int PatternLength = 65_521;

    private readonly float[] _pattern = new float[PatternLength];

    public MadeWeights()
    {
        var random = new Random(1);
        for (var i = 0; i < PatternLength; i++) _pattern[i] = (float)((random.NextDouble() * 2) - 1);
    }

    public void Read(string name, IReadOnlyList<long> shape, Rectangle part, void* destination, ElementType type,
        Action<long> onBytes, CancellationToken cancel)
    {
        var isVector = shape.Count == 1;
        var scale = isVector ? 0.1f : MathF.Sqrt(3f / shape[1]);
        var scaled = Array.ConvertAll(_pattern, value => (value * scale) + (isVector ? 1 : 0));
        fixed (float* source = scaled)
        {
            for (long done = 0; done < part.Elements;)
            {
                cancel.ThrowIfCancellationRequested();
                var count = Math.Min(PatternLength, part.Elements - done);
                ElementConversion.Convert(
                    source, ElementType.Float32, (byte*)destination + (done * type.Bytes()), type, count);
                done += count;
            }
        }

        onBytes(part.Elements * type.Bytes());
    }
}
