using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

/// <summary>What a device lacks, and what it can free: every byte counts once.</summary>
public sealed class HoldingDiffTests
{
    private static readonly SliceGeometry Small = PlanningScenarios.Small;

    [Fact]
    public void Bytes_that_two_slices_hold_are_freed_once()
    {
        WeightSlice[] held = [Layers(0, 4), Layers(2, 6)];

        var surplus = HoldingDiff.Surplus(held, need: []).ToArray();

        Assert.Equal(6 * Small.LayerBytes, surplus.Sum(Small.Bytes));
    }

    [Fact]
    public void Nothing_that_is_needed_is_freed_and_all_that_is_not_held_is_missing()
    {
        WeightSlice[] held = [Layers(0, 4), Layers(2, 6)];
        WeightSlice[] need = [Layers(3, 8)];

        Assert.Equal(3 * Small.LayerBytes, HoldingDiff.Surplus(held, need).Sum(Small.Bytes));
        Assert.Equal(2 * Small.LayerBytes, HoldingDiff.Missing(need, held).Sum(Small.Bytes));
    }

    private static WeightSlice Layers(int first, int end) =>
        new(TensorGroup.Layers, new LayerRange(first, end), Small.WholeShare(TensorGroup.Layers));
}
