using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class SliceGeometryTests
{
    // 12 heads over 3 kv heads and odd sizes: M = 4, 6 and 12 share kv heads, and floor cuts are uneven.
    private static readonly ModelSpec Odd = new TransformerShape(
        "odd", LayerCount: 7, HiddenSize: 36, HeadCount: 12, KvHeadCount: 3, IntermediateSize: 101,
        VocabularySize: 53, ContextMax: 64, ElementType.Float16).ToModelSpec();

    private static readonly int[] RankCounts = [1, 2, 3, 4, 6, 12];

    private static readonly Gen<(int Rank, int Ranks)> Ranks =
        Gen.OneOfConst(RankCounts).SelectMany(m => Gen.Int[0, m - 1].Select(rank => (rank, m)));

    private static readonly Gen<LayerRange> Layers =
        Gen.Select(Gen.Int[0, 6], Gen.Int[1, 7]).Where((first, end) => first < end)
            .Select((f, e) => new LayerRange(f, e));

    [Fact]
    public void Bytes_of_a_ranks_share_equal_its_tensor_slices_added_up()
    {
        var geometry = new SliceGeometry(Odd);

        Ranks.Sample((rank, ranks) =>
        {
            foreach (var (group, tensors) in Groups())
            {
                var share = geometry.ShareOf(group, rank, ranks);
                Assert.Equal(tensors.Sum(t => Elements(t, rank, ranks)) * 2, geometry.Bytes(group, share));
            }
        });
    }

    [Fact]
    public void Ranges_of_a_ranks_share_are_its_tensor_slices() =>
        Ranks.Sample((rank, ranks) =>
        {
            var geometry = new SliceGeometry(Odd);
            foreach (var (group, tensors) in Groups())
            {
                var share = geometry.ShareOf(group, rank, ranks);
                Assert.All(tensors, tensor =>
                    Assert.Equal(TensorSlices.Of(Odd, tensor, rank, ranks), geometry.RangeOf(tensor, share)));
            }
        });

    [Fact]
    public void Reused_bytes_equal_elements_counted_one_by_one()
    {
        var geometry = new SliceGeometry(Odd);
        var need = Gen.Select(Layers, Ranks, Gen.Bool, Gen.Bool)
            .Select((layers, r, first, last) => new PositionNeed(layers, r.Rank, r.Ranks, first, last));

        Gen.Select(need, need.List[0, 3]).Sample((wanted, held) =>
        {
            var holding = held.SelectMany(geometry.Need).ToList();

            Assert.Equal(CountReused(wanted, held), geometry.ReuseBytes(wanted, holding));
        });
    }

    [Fact]
    public void Shares_of_all_ranks_cover_the_whole_once_but_for_shared_kv_heads_and_copies()
    {
        var geometry = new SliceGeometry(Odd);
        foreach (var ranks in RankCounts)
        {
            var gaps = new ShareGaps(geometry.WholeShare(TensorGroup.Layers));
            var end = 0;
            for (var rank = 0; rank < ranks; rank++)
            {
                var share = geometry.ShareOf(TensorGroup.Layers, rank, ranks);
                Assert.Equal(end, share.First);
                end = share.End;
                gaps.Remove(share);
            }

            Assert.Equal(Share.Unit, end);
            Assert.True(gaps.IsEmpty);
        }
    }

    [Fact]
    public void Weights_of_a_gpt_20b_are_the_papers_74_gibibytes()
    {
        var geometry = new SliceGeometry(TransformerShape.Gpt20B.ToModelSpec());

        Assert.Equal(74.5, geometry.WeightBytes / (double)(1L << 30), tolerance: 3);
    }

    [Fact]
    public void Ranks_that_do_not_divide_the_heads_are_refused_by_name()
    {
        var error = Assert.Throws<RankCountException>(() => new SliceGeometry(Odd).RequireRanks(5));

        Assert.Contains("12 attention heads cannot be cut into 5", error.Message, StringComparison.Ordinal);
    }

    private static IEnumerable<(TensorGroup, IEnumerable<TensorSpec>)> Groups() =>
        [(TensorGroup.Front, Odd.Front), (TensorGroup.Layers, Odd.Layer), (TensorGroup.Back, Odd.Back)];

    private static long Elements(TensorSpec tensor, int rank, int ranks)
    {
        var (axis, range) = TensorSlices.Of(Odd, tensor, rank, ranks);
        return axis < 0 ? tensor.ElementCount : tensor.ElementCount / tensor.Shape[axis] * range.Count;
    }

    /// <summary>Every index of every tensor's cut axis, one at a time.</summary>
    private static long CountReused(PositionNeed need, List<PositionNeed> held)
    {
        var count = 0L;
        foreach (var layer in Enumerable.Range(need.Layers.First, need.Layers.Count))
        {
            count += Odd.Layer.Sum(t => Common(t, need, [.. held.Where(h => h.Layers.Contains(layer))]));
        }

        if (need.IsFirst) count += Odd.Front.Sum(t => Common(t, need, [.. held.Where(h => h.IsFirst)]));
        if (need.IsLast) count += Odd.Back.Sum(t => Common(t, need, [.. held.Where(h => h.IsLast)]));
        return count * 2;
    }

    private static long Common(TensorSpec tensor, PositionNeed need, List<PositionNeed> held)
    {
        if (held.Count == 0) return 0;
        var (axis, range) = TensorSlices.Of(Odd, tensor, need.Rank, need.Ranks);
        if (axis < 0) return tensor.ElementCount;
        var others = held.ConvertAll(h => TensorSlices.Of(Odd, tensor, h.Rank, h.Ranks).Range);
        var indices = 0L;
        for (var i = range.First; i < range.End; i++)
        {
            if (others.Exists(other => i >= other.First && i < other.End)) indices++;
        }

        return indices * (tensor.ElementCount / tensor.Shape[axis]);
    }
}
