using System.Diagnostics.CodeAnalysis;
using SpotServe.Node.Engine.Blocks;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>A layer in the terms of the kernels.</summary>
/// <param name="QueryNorm">Over each query head; null for none, like the key norm.</param>
/// <param name="Window">Tokens that a token looks back on; 0 is all.</param>
internal sealed record DecodeLayer(
    RmsNorm AttentionNorm,
    ColumnLinear QueryKeyValue,
    RmsNorm? QueryNorm,
    RmsNorm? KeyNorm,
    int Window,
    Tensor Pages,
    RowLinear Output,
    RmsNorm MlpNorm,
    GatedMlp Mlp);

/// <summary>
/// A stage in the terms of the kernels. It is read off the blocks that the family composed, so that a family needs to
/// know nothing of kernels: what is made of other blocks runs on the plain path.
/// </summary>
internal sealed record DecodeModel(
    VocabularyEmbedding? Embedding,
    IReadOnlyList<DecodeLayer> Layers,
    RmsNorm? FinalNorm,
    ColumnLinear? Head,
    Rotary? Rotary)
{
    private const int Segments = 8;

    /// <summary>True when the product that makes queries and keys can turn them as well: what belongs together then
    /// meets in one thread.</summary>
    public bool HasFusedHeads(HeadPart heads) =>
        Rotary is not null && Rotary.Width == heads.HeadSize && heads.HeadSize % 16 == 0
        && Layers.All(layer => layer.QueryNorm is null);

    /// <summary>Reads a stage's blocks.</summary>
    /// <param name="why">What the kernels do not know, where the answer is null.</param>
    public static DecodeModel? Of(
        StageContext stage, Func<Tensor>? front, IReadOnlyList<ILayer> layers, OutputHead? back, Rotary? rotary,
        out string why)
    {
        why = WhyNot(stage) ?? "";
        if (why.Length > 0) return null;
        VocabularyEmbedding? embedding = null;
        if (front is not null && (embedding = front.Target as VocabularyEmbedding) is not { IsPlain: true })
        {
            why = "its embedding is not a plain look-up";
            return null;
        }

        if (back is not null && back is not { Norm: RmsNorm, IsPlain: true })
        {
            why = "its head is not an RMS norm and a product";
            return null;
        }

        var known = new List<DecodeLayer>(layers.Count);
        foreach (var layer in layers)
        {
            if (!TryRead(layer, out var read))
            {
                why = "its layers are made of other blocks than RMS norms, attention and SwiGLU";
                return null;
            }

            known.Add(read);
        }

        return new DecodeModel(embedding, known, (RmsNorm?)back?.Norm, back?.Weight, rotary);
    }

    private static bool TryRead(ILayer layer, [NotNullWhen(true)] out DecodeLayer? read)
    {
        read = null;
        if (layer is not PreNormLayer
            {
                AttentionNorm: RmsNorm attentionNorm, MlpNorm: RmsNorm mlpNorm, Mlp: GatedMlp mlp,
                Attention: { } attention,
            })
        {
            return false;
        }

        var (options, output) = (attention.Options, attention.Output);
        if (!options.IsPlain || !output.IsPlain || !mlp.IsPlain || output.Bias is not null
            || mlp.Down.Bias is not null || mlp.Gate.Bias is not null || mlp.Up.Bias is not null
            || options.QueryNorm is not (null or RmsNorm) || options.KeyNorm is not (null or RmsNorm))
        {
            return false;
        }

        read = new DecodeLayer(
            attentionNorm, attention.QueryKeyValue, (RmsNorm?)options.QueryNorm, (RmsNorm?)options.KeyNorm,
            options.Window, attention.Pages, output, mlpNorm, mlp);
        return true;
    }

    private static string? WhyNot(StageContext stage)
    {
        var (model, heads, ranks) = (stage.Model, stage.Heads, stage.RankCount);
        // Only rank 0 has these biases, and all ranks of a stage must come to the same answer.
        var addsBiases = model.Layer.Any(tensor =>
            tensor.Split == TensorSplit.Replicated && tensor.Name.EndsWith(".bias", StringComparison.Ordinal));
        if (addsBiases) return "biases are added to its sums";
        if (stage.WeightType is not (ScalarType.BFloat16 or ScalarType.Float16))
            return "its weights are not 16 bits wide";
        if (Segments % ranks != 0) return $"{ranks} ranks do not divide a product's {Segments} segments";
        if (!heads.IsRegular) return $"{ranks} ranks cut a group of query heads";
        if (heads.HeadSize % 8 != 0 || heads.HeadSize > 256) return $"its head size is {heads.HeadSize}";
        if (model.HiddenSize % 64 != 0 || model.IntermediateSize % 64 != 0
            || model.HeadCount * heads.HeadSize % 64 != 0 || model.IntermediateSize / ranks % 8 != 0
            || (heads.QueryWidth + (2 * heads.KvWidth)) % 16 != 0)
        {
            return "its sizes are no multiples of the kernels' tiles";
        }

        var vocabulary = TensorSlices.Even(model.VocabularySize, stage.Rank, ranks);
        return vocabulary.Count < 16 ? "its vocabulary is too small" : null;
    }
}
