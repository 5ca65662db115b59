using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>
/// A norm over all queries of a token, and one over all its keys: x / sqrt(mean(x^2) + epsilon) * weight. Ranks have
/// some of the heads each, so their sums of squares are added; a key head that several ranks hold counts once.
/// </summary>
/// <param name="queryWeight">Of this rank's query heads, as the weights of the keys are of its key heads.</param>
internal sealed class WidthNorm(StageContext stage, Tensor queryWeight, Tensor keyWeight, double epsilon)
{
    private readonly Tensor _keyShares = tensor(SharesOf(stage), ScalarType.Float32).view(1, -1).to(stage.Device)
        .DetachFromDisposeScope();

    /// <summary>In place.</summary>
    /// <param name="all">[tokens, queries | keys | values] of this rank.</param>
    public void Apply(Tensor all)
    {
        var heads = stage.Heads;
        var queries = all.narrow(1, 0, heads.QueryWidth);
        var keys = all.narrow(1, heads.QueryWidth, heads.KvWidth);
        Tensor wideQueries = queries.to(ScalarType.Float32), wideKeys = keys.to(ScalarType.Float32);
        var querySum = wideQueries.Squared().sum([1L]);
        var keySum = wideKeys.Squared().view(-1, heads.KvHeads, heads.HeadSize).sum([2L]).mul_(_keyShares).sum([1L]);
        var sums = stack([querySum, keySum], 1).contiguous();
        stage.AllReduce(sums);
        queries.copy_(Normed(wideQueries, sums.select(1, 0), stage.Model.HeadCount, queryWeight));
        keys.copy_(Normed(wideKeys, sums.select(1, 1), stage.Model.KvHeadCount, keyWeight));
    }

    private Tensor Normed(Tensor values, Tensor sum, int heads, Tensor weight)
    {
        var scale = sum.DividedBy((double)heads * stage.Heads.HeadSize).AddInPlace(epsilon).rsqrt_().unsqueeze(1);
        return values.mul(scale).mul_(weight.to(ScalarType.Float32));
    }

    /// <summary>One over the number of ranks that hold each of this rank's key heads.</summary>
    private static float[] SharesOf(StageContext stage)
    {
        var mine = TensorSlices.KvHeads(stage.Model, stage.Rank, stage.RankCount);
        var shares = new float[mine.Count];
        for (var i = 0; i < shares.Length; i++)
        {
            var head = mine.First + i;
            shares[i] = 1f / Enumerable.Range(0, stage.RankCount).Count(rank =>
            {
                var theirs = TensorSlices.KvHeads(stage.Model, rank, stage.RankCount);
                return head >= theirs.First && head < theirs.End;
            });
        }

        return shares;
    }
}
