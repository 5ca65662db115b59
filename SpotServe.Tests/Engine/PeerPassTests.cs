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

    [Theory]
    [InlineData(3, 5)]
    [InlineData(4, 8)]
    [InlineData(4, 9)]
    [InlineData(4, 65)]
    [InlineData(8, 3)]
    public void No_rank_overwrites_what_another_has_not_read_where_tiles_have_owners(int ranks, int sums)
    {
        const int Passes = 6, Parts = 0, Sums = 1;
        for (var seed = 0; seed < 40; seed++)
        {
            var random = new Random(seed);
            // Of each rank: its next operation. Of a sum it first pushes parts of the others' tiles, then adds the
            // parts of its own and pushes these sums, then reads the others' sums. A rank's part of a tile that
            // another owns, and its sums of its own tiles, lie in different places.
            var next = new int[ranks];
            var places = new (int Sum, bool IsRead)[ranks, PeerPass.Slots, ranks, 2];
            foreach (ref var place in System.Runtime.InteropServices.MemoryMarshal.CreateSpan(
                ref places[0, 0, 0, 0], places.Length))
            {
                place = (-1, true);
            }

            while (true)
            {
                var able = Enumerable.Range(0, ranks).Where(IsAble).ToArray();
                if (able.Length == 0) break;
                Run(able[random.Next(able.Length)]);
            }

            Assert.All(next, operation => Assert.Equal(3 * sums * Passes, operation));

            bool IsAble(int rank)
            {
                var (sum, operation) = (next[rank] / 3, next[rank] % 3);
                if (sum == sums * Passes) return false;
                return operation == 0 || Enumerable.Range(0, ranks).All(from => from == rank
                    || places[rank, PeerPass.Slot(sum % sums, sums), from, operation - 1].Sum == sum);
            }

            void Run(int rank)
            {
                var (sum, operation) = (next[rank] / 3, next[rank] % 3);
                var slot = PeerPass.Slot(sum % sums, sums);
                for (var other = 0; other < ranks; other++)
                {
                    if (other == rank) continue;
                    if (operation > 0) places[rank, slot, other, operation - 1].IsRead = true;
                    if (operation == 2) continue;
                    var kind = operation == 0 ? Parts : Sums;
                    Assert.True(places[other, slot, rank, kind].IsRead, $"sum {sum} of rank {rank}, seed {seed}");
                    places[other, slot, rank, kind] = (sum, false);
                }

                next[rank]++;
            }
        }
    }

    [Theory]
    [InlineData(2, 64, 256, false)]
    [InlineData(4, 4, 256, false)]
    [InlineData(4, 8, 256, true)]
    [InlineData(8, 32, 4, false)]
    [InlineData(8, 32, 256, true)]
    public void Tiles_have_owners_where_that_saves_bytes_and_each_rank_hears_of_each_other(
        int ranks, int tokens, int tiles, bool expected) =>
        Assert.Equal(expected, PeerPass.HasOwners(ranks, tokens, tiles));

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
