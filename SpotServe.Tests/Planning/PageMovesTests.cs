using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

/// <summary>Every page that a position needs comes from exactly one place.</summary>
public sealed class PageMovesTests
{
    private static readonly ModelSpec Model = TestModels.Small;

    private static readonly Gen<Layout> Layouts =
        from replicas in Gen.Int[1, 2]
        from stages in Gen.Int[1, 4]
        from ranks in Gen.OneOfConst(1, 2, 4)
        from first in Gen.Int[0, 6]
        select LayoutAssembly.InOrder(
            new LayoutDegrees(replicas, stages, ranks, 8),
            Model.LayerCount,
            [.. Enumerable.Range(first, replicas * stages * ranks).Select(i => new DeviceId($"n{i}", 0))]);

    [Fact]
    public void Moves_and_pages_in_place_have_every_layer_and_head_once_from_a_device_that_holds_it() =>
        Gen.Select(Layouts, Layouts, Gen.Int[0, 1]).Sample((old, target, replica) =>
        {
            if (replica >= old.Degrees.Replicas) return;
            foreach (var position in target.Positions)
            {
                var inPlace = PageMoves.InPlace(Model, old, replica, target, position);
                var got = Cells(target.LayersOf(position).Intersect(inPlace), Heads(target, position)).ToList();
                foreach (var move in PageMoves.Of(Model, old, replica, target, position, inPlace))
                {
                    Assert.True(Holds(old, replica, move), $"{move} is not held there");
                    got.AddRange(Cells(move.Layers, move.KvHeads));
                }

                var need = Cells(target.LayersOf(position), Heads(target, position)).Order().ToList();
                Assert.Equal(need, got.Order());
            }
        });

    [Fact]
    public void Pages_stay_in_place_only_on_a_device_that_has_these_very_heads_of_that_replica() =>
        Gen.Select(Layouts, Layouts, Gen.Int[0, 1]).Sample((old, target, replica) =>
        {
            if (replica >= old.Degrees.Replicas) return;
            foreach (var position in target.Positions)
            {
                var inPlace = PageMoves.InPlace(Model, old, replica, target, position);
                if (inPlace.Count == 0) continue;
                var before = old.Positions.Single(
                    held => held.Replica == replica && old.DeviceAt(held) == target.DeviceAt(position));
                Assert.Equal(Heads(old, before), Heads(target, position));
                Assert.Equal(old.LayersOf(before).Intersect(target.LayersOf(position)), inPlace);
            }
        });

    [Fact]
    public void Pages_stay_in_place_when_nothing_changes() =>
        Layouts.Sample(layout =>
        {
            foreach (var position in layout.Positions)
            {
                var inPlace = PageMoves.InPlace(Model, layout, position.Replica, layout, position);
                Assert.Equal(layout.LayersOf(position), inPlace);
                Assert.Empty(PageMoves.Of(Model, layout, position.Replica, layout, position, inPlace));
            }
        });

    [Fact]
    public void Own_pages_are_preferred_where_tensor_ranks_hold_the_same_heads()
    {
        // Four ranks share each key/value head between them in pairs.
        var old = LayoutAssembly.InOrder(
            new LayoutDegrees(1, 1, 2 * Model.KvHeadCount, 8), Model.LayerCount,
            [.. Enumerable.Range(0, 2 * Model.KvHeadCount).Select(i => new DeviceId($"n{i}", 0))]);
        var target = LayoutAssembly.InOrder(
            new LayoutDegrees(1, 1, Model.KvHeadCount, 8), Model.LayerCount,
            [.. Enumerable.Range(0, Model.KvHeadCount).Select(i => new DeviceId($"n{(2 * i) + 1}", 0))]);

        foreach (var position in target.Positions)
        {
            var move = Assert.Single(PageMoves.Of(Model, old, 0, target, position, default));
            Assert.Equal(target.DeviceAt(position), move.From);
        }
    }

    private static AxisRange Heads(Layout layout, Position position) =>
        TensorSlices.KvHeads(Model, position.Rank, layout.Degrees.Ranks);

    private static IEnumerable<(int Layer, long Head)> Cells(LayerRange layers, AxisRange heads)
    {
        for (var layer = layers.First; layer < layers.End; layer++)
        {
            for (var head = heads.First; head < heads.End; head++) yield return (layer, head);
        }
    }

    private static bool Holds(Layout old, int replica, PageMove move) => old.Positions.Any(position =>
        position.Replica == replica
        && old.DeviceAt(position) == move.From
        && old.LayersOf(position).Intersect(move.Layers) == move.Layers
        && Heads(old, position).First <= move.KvHeads.First
        && move.KvHeads.End <= Heads(old, position).End);
}
