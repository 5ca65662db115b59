using SpotServe.Node.Engine.Cuda;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>Where sums over the memory of several GPUs lie, and how they are numbered. GPUs are played by ranks whose
/// operations come in any order that their streams allow.</summary>
public sealed class PeerPassTests
{
    [Theory]
    [InlineData(2, 5)]
    [InlineData(2, 64)]
    [InlineData(3, 65)]
    [InlineData(4, 9)]
    [InlineData(4, 8)]
    [InlineData(8, 3)]
    public void No_rank_overwrites_a_part_that_another_has_not_read(int ranks, int sums)
    {
        const int Passes = 6;
        for (var seed = 0; seed < 40; seed++)
        {
            var random = new Random(seed);
            // Of each rank: its next operation. Even ones push a sum's part to all ranks, odd ones read a sum.
            var next = new int[ranks];
            var places = new (int Sum, bool IsRead)[ranks, PeerPass.Slots, ranks];
            for (var owner = 0; owner < ranks; owner++)
            {
                for (var slot = 0; slot < PeerPass.Slots; slot++)
                {
                    for (var from = 0; from < ranks; from++) places[owner, slot, from] = (-1, true);
                }
            }

            while (true)
            {
                var able = Enumerable.Range(0, ranks).Where(IsAble).ToArray();
                if (able.Length == 0) break;
                Run(able[random.Next(able.Length)]);
            }

            Assert.All(next, operation => Assert.Equal(2 * sums * Passes, operation));

            bool IsAble(int rank)
            {
                var (sum, reads) = (next[rank] / 2, next[rank] % 2 == 1);
                if (sum == sums * Passes) return false;
                return !reads || Enumerable.Range(0, ranks).All(
                    from => places[rank, PeerPass.Slot(sum % sums, sums), from].Sum == sum);
            }

            void Run(int rank)
            {
                var (sum, reads) = (next[rank] / 2, next[rank] % 2 == 1);
                var slot = PeerPass.Slot(sum % sums, sums);
                for (var other = 0; other < ranks; other++)
                {
                    if (reads)
                    {
                        places[rank, slot, other].IsRead = true;
                        continue;
                    }

                    Assert.True(places[other, slot, rank].IsRead, $"sum {sum} of rank {rank}, seed {seed}");
                    places[other, slot, rank] = (sum, false);
                }

                next[rank]++;
            }
        }
    }

    [Fact]
    public void Sums_of_all_steps_and_passes_have_numbers_of_their_own_and_none_is_that_of_empty_memory()
    {
        const int Passes = 3, Numbers = 66;
        var seen = new HashSet<uint> { 0 };

        for (var step = 1L; step <= 200; step++)
        {
            for (var pass = 0; pass < Passes; pass++)
            {
                var first = PeerPass.FirstNumber(step, pass, Passes, Numbers);
                for (var sum = 0u; sum < Numbers; sum++) Assert.True(seen.Add(first + sum), $"{step}, {pass}, {sum}");
            }
        }
    }

    [Fact]
    public void Numbers_go_on_where_they_wrap()
    {
        var step = (1L << 32) / 66;

        Assert.Equal(
            unchecked(PeerPass.FirstNumber(step, 0, 1, 66) + 66), PeerPass.FirstNumber(step + 1, 0, 1, 66));
        Assert.NotEqual(PeerPass.ChunkNumber(1L << 40, 3), PeerPass.ChunkNumber((1L << 40) + 1, 3));
    }
}
