using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Reflection;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.ModelFolder;
using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Families;

/// <summary>Marks a family and names the config.json model_type that it reads. That is all the registration there
/// is.</summary>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true, Inherited = false)]
internal sealed class ModelTypeAttribute(string name) : Attribute
{
    public string Name { get; } = name;
}

/// <summary>A family's weights: of the first stage, of each layer, of the last stage.</summary>
/// <param name="Aliases">Other checkpoint names of a tensor, tried when it is missing.</param>
/// <param name="Stacked">Layer tensors that lie in memory one below the other, as <see cref="StageWeights"/> is asked
/// for them.</param>
/// <param name="BasePrefix">What names begin with, unless a checkpoint was saved without its head.</param>
/// <param name="Stored">Tensors that checkpoints have as a part of another one, or the other way round.</param>
internal sealed record FamilyTensors(
    ImmutableArray<TensorSpec> Front,
    ImmutableArray<TensorSpec> Layer,
    ImmutableArray<TensorSpec> Back,
    ImmutableDictionary<string, string> Aliases,
    ImmutableArray<ImmutableArray<string>> Stacked,
    string BasePrefix,
    ImmutableDictionary<string, StoredPart>? Stored = null)
{
    /// <summary>How the checkpoint's tensors are found, with the layers' indices filled in.</summary>
    public CheckpointNames Names(int layers)
    {
        var stored = new Dictionary<string, StoredPart>(StringComparer.Ordinal);
        foreach (var (name, part) in Stored ?? ImmutableDictionary<string, StoredPart>.Empty)
        {
            for (var layer = 0; layer < layers; layer++)
                stored[At(name, layer)] = part with { Name = At(part.Name, layer) };
        }

        return new CheckpointNames(
            Aliases.ToFrozenDictionary(StringComparer.Ordinal), stored.ToFrozenDictionary(StringComparer.Ordinal),
            BasePrefix);

        static string At(string name, int layer) => name.Replace(
            "{0}", layer.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal);
    }
}

/// <summary>What a family needs to put a stage together.</summary>
internal sealed record StageParts(StageContext Stage, ModelConfig Config, StageWeights Weights, Rotary? Rotary);

/// <summary>
/// A model architecture: lists its tensors and composes blocks. Adding one is adding a file with a class that derives
/// from this and carries <see cref="ModelTypeAttribute"/>.
/// </summary>
internal abstract class ModelFamily
{
    private static readonly FrozenDictionary<string, ModelFamily> ByType = typeof(ModelFamily).Assembly.GetTypes()
        .SelectMany(type => type.GetCustomAttributes<ModelTypeAttribute>(inherit: false)
            .Select(named => (named.Name, type)))
        .ToFrozenDictionary(
            pair => pair.Name, pair => (ModelFamily)Activator.CreateInstance(pair.type)!, StringComparer.Ordinal);

    /// <summary>model_types that can be served.</summary>
    public static IEnumerable<string> Names => ByType.Keys.Order(StringComparer.Ordinal);

    /// <exception cref="ModelFormatException">No family reads this model_type.</exception>
    public static ModelFamily For(ModelConfig config) => Named(config.Name);

    /// <summary>How a family reads its config.json.</summary>
    /// <exception cref="ModelFormatException">No family reads this model_type.</exception>
    public static ConfigRules RulesOf(string modelType) => Named(modelType).Rules;

    public abstract ConfigRules Rules { get; }

    public abstract FamilyTensors Tensors(ModelConfig config);

    /// <summary>Leading elements of each head that are turned by position; 0 for a family without rotary
    /// positions.</summary>
    public virtual int RotaryWidth(ModelConfig config) => (int)(config.HeadSize * config.RotaryFraction) / 2 * 2;

    /// <summary>Embeds the step's tokens: a function to a new float32 tensor [tokens, hidden].</summary>
    public abstract Func<Tensor> Front(StageParts parts);

    public abstract ILayer Layer(StageParts parts, int layer);

    public abstract OutputHead Back(StageParts parts);

    /// <summary>The model as planning and execution see it.</summary>
    public ModelSpec Describe(ModelConfig config, string name, string fingerprint, ElementType weightType)
    {
        var tensors = Tensors(config);
        return new ModelSpec(
            name, config.Name, fingerprint, config.Layers, config.Hidden, config.Heads, config.KvHeads,
            config.HeadSize, config.Intermediate, config.Vocabulary, config.ContextMax, weightType,
            tensors.Front, tensors.Layer, tensors.Back);
    }

    /// <summary>How the model's weights lie in device memory: norms and biases that are added after a sum (vectors that
    /// are not cut) in float32, all else in the weight type.</summary>
    public WeightShape Shape(ModelConfig config, ModelSpec model) => new(
        model, Tensors(config).Stacked,
        tensor => tensor is { Split: TensorSplit.Replicated, Shape.Length: 1 }
            ? ElementType.Float32 : model.WeightType);

    private static ModelFamily Named(string modelType) =>
        ByType.TryGetValue(modelType, out var family) ? family : throw new ModelFormatException(
            $"config.json: model_type \"{(modelType.Length <= 60 ? modelType : modelType[..60])}\" is not supported; "
            + $"these are: {string.Join(", ", Names)}.");

    protected static TensorSpec Matrix(string name, long outputs, long inputs, TensorSplit split) =>
        new(name, [outputs, inputs], split);

    protected static TensorSpec Vector(string name, long size, TensorSplit split = TensorSplit.Replicated) =>
        new(name, [size], split);
}
