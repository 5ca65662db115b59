using CsCheck;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class CollectiveTests
{
    /// <summary>Around what is copied (8,192 floats) and the chunk (16,384), for slices too.</summary>
    private static readonly Gen<int> Lengths = Gen.OneOf(
        Gen.Int[0, 40],
        Gen.Int[8_190, 8_195],
        Gen.Int[16_380, 16_390],
        Gen.Int[32_766, 32_770],
        Gen.Int[65_530, 65_545],
        Gen.Int[100_000, 140_000]);

    public static TheoryData<string, int> Worlds()
    {
        var data = new TheoryData<string, int>();
        foreach (var kind in new[] { "whole", "slices", "default", "shared" })
        {
            foreach (var ranks in new[] { 2, 3, 4, 6 }) data.Add(kind, ranks);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Worlds))]
    public void Sum_has_the_bits_of_one_binary_tree_on_every_rank(string kind, int rankCount)
    {
        var ranks = Make(kind, rankCount);
        Gen.Select(Lengths, Gen.Int).Sample(
            (length, seed) =>
            {
                var values = RandomValues(rankCount, length, seed);
                var expected = Enumerable.Range(0, length)
                    .Select(i => Tree([.. values.Select(rank => rank[i])])).ToArray();

                LinkPairs.OnAllRanks(ranks, rank => rank.AllReduceSum(values[rank.Rank]));

                return values.All(sum => sum.AsSpan().SequenceEqual(expected));
            },
            iter: 25,
            threads: 1);
        foreach (var rank in ranks) rank.Dispose();
    }

    /// <summary>Neighbours are added, then neighbouring sums, until one is left.</summary>
    private static float Tree(float[] level) => level.Length == 1
        ? level[0]
        : Tree([.. level.Chunk(2).Select(pair => pair.Length == 2 ? pair[0] + pair[1] : pair[0])]);

    [Theory]
    [MemberData(nameof(Worlds))]
    public void Gather_brings_all_blocks_to_rank_0_in_rank_order(string kind, int rankCount)
    {
        foreach (var length in new[] { 3, 8_192, 50_001 }) Gather(kind, rankCount, length);
    }

    private static void Gather(string kind, int rankCount, int length)
    {
        var ranks = Make(kind, rankCount);
        var values = RandomValues(rankCount, length, seed: 5);
        var all = new float[length * rankCount];

        LinkPairs.OnAllRanks(ranks, rank =>
        {
            // Several in a row: ranks that only send must not run away from rank 0.
            for (var i = 0; i < 20; i++) rank.GatherToFirst(values[rank.Rank], rank.Rank == 0 ? all : []);
        });

        Assert.Equal(values.SelectMany(block => block), all);
        foreach (var rank in ranks) rank.Dispose();
    }

    [Theory]
    [MemberData(nameof(Worlds))]
    public void Mixed_operations_stay_in_step_when_ranks_run_at_their_own_pace(string kind, int rankCount)
    {
        var ranks = Make(kind, rankCount);

        LinkPairs.OnAllRanks(ranks, rank =>
        {
            var random = new Random(17);
            for (var i = 0; i < 200; i++)
            {
                var values = new float[random.Next(1, i % 10 == 0 ? 20_000 : 200)];
                Array.Fill(values, rank.Rank + i);
                rank.AllReduceSum(values);
                Assert.All(values, value => Assert.Equal((rankCount * i) + (rankCount * (rankCount - 1) / 2), value));
                rank.GatherToFirst(values.AsSpan(0, 1), rank.Rank == 0 ? new float[rankCount] : []);
            }
        });

        foreach (var rank in ranks) rank.Dispose();
    }

    [Theory]
    [MemberData(nameof(Worlds))]
    public void Waiting_ranks_lose_their_peer_when_one_leaves(string kind, int rankCount)
    {
        var ranks = Make(kind, rankCount);

        LinkPairs.OnAllRanks(ranks, rank =>
        {
            var values = new float[70_000];
            rank.AllReduceSum(values);
            if (rank.Rank == 1) rank.Dispose();
            else Assert.Throws<PeerLostException>(() => rank.AllReduceSum(values));
            // As the runner does: whoever has lost one releases the rest.
            rank.Dispose();
        });
    }

    [Theory]
    [InlineData("default")]
    [InlineData("shared")]
    public void Ranks_notice_when_they_disagree_about_the_length(string kind)
    {
        var ranks = Make(kind, 2);

        LinkPairs.OnAllRanks(ranks, rank =>
        {
            Assert.Throws<PeerLostException>(() => rank.AllReduceSum(new float[10 + rank.Rank]));
            rank.Dispose();
        });
    }

    [Theory]
    [InlineData("default", 2)]
    [InlineData("slices", 3)]
    [InlineData("shared", 3)]
    public void Sums_allocate_nothing_when_warm(string kind, int rankCount)
    {
        var ranks = Make(kind, rankCount);

        LinkPairs.OnAllRanks(ranks, rank =>
        {
            var values = new float[5000];
            for (var i = 0; i < 20; i++) rank.AllReduceSum(values);
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 200; i++) rank.AllReduceSum(values);
            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        });

        foreach (var rank in ranks) rank.Dispose();
    }

    private static ICollective[] Make(string kind, int rankCount) => kind switch
    {
        "whole" => LinkPairs.TcpRanks(rankCount, int.MaxValue),
        "slices" => LinkPairs.TcpRanks(rankCount, 0),
        "default" => LinkPairs.TcpRanks(rankCount, TcpCollective.WholeBytesMax),
        "shared" => LinkPairs.SharedRanks(rankCount),
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    /// <summary>Values of very different size, so that another order of adding gives other bits.</summary>
    private static float[][] RandomValues(int rankCount, int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, rankCount).Select(_ => Enumerable.Range(0, length)
            .Select(_ => (random.NextSingle() - 0.5f) * MathF.Pow(10, random.Next(-6, 7))).ToArray())];
    }
}
