using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>Token embedding cut over the vocabulary: each rank looks up its own tokens, the sum brings all
/// together.</summary>
/// <param name="weight">[this rank's tokens, hidden].</param>
/// <param name="multiplier">What rows are multiplied by.</param>
internal sealed class VocabularyEmbedding(StageContext stage, Tensor weight, double multiplier = 1)
{
    private readonly AxisRange _range =
        TensorSlices.Even(stage.Model.VocabularySize, stage.Rank, stage.RankCount);

    /// <summary>Whether rows are used as they are, so that a fused kernel can do it.</summary>
    public bool IsPlain => multiplier == 1;

    public Tensor Weight => weight;

    /// <summary>Tokens whose rows this rank holds.</summary>
    public AxisRange Range => _range;

    /// <summary>The step's tokens as a new float32 tensor [tokens, hidden].</summary>
    public Tensor Apply()
    {
        var embedded = LookUp();
        return multiplier == 1 ? embedded : embedded.MultiplyInPlace(multiplier);
    }

    private Tensor LookUp()
    {
        var tokens = stage.Batch.Tokens;
        if (stage.RankCount == 1) return weight.index_select(0, tokens).to(ScalarType.Float32);

        var local = tokens.Minus(_range.First);
        var elsewhere = local.IsBelow(0).logical_or_(local.IsAtLeast(_range.Count));
        var found = weight.index_select(0, local.ClampInPlace(0, _range.Count - 1)).to(ScalarType.Float32);
        found.FillInPlace(elsewhere.unsqueeze(1), 0);
        stage.AllReduce(found);
        return found;
    }
}
