using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

/// <summary>What a device keeps free for slices that arrive before others leave is given to nothing else.</summary>
public sealed class MigrationBufferTests
{
    private const long BufferBytes = 3L << 20;

    private static readonly SliceGeometry Small = PlanningScenarios.Small;
    private static readonly RooflineCostModel Cost = new(Small, new LinkRates(20e9, 5e9, 1e9, 1e9, 20e-6));
    private static readonly Workload Load = new(1, 64, 32);

    private static readonly SearchOptions Options = new()
    {
        Objective = Objective.Throughput,
        RankCounts = [1],
        BatchSizes = [2],
        StagesMax = 4,
        MigrationBufferBytes = BufferBytes,
    };

    [Fact]
    public void Search_takes_the_fewest_stages_that_leave_the_buffer_free_and_not_one_less()
    {
        var need = NeedWithoutBuffer(Small.Model.LayerCount);

        Assert.Equal(1, StagesOn(need + BufferBytes));
        Assert.Equal(2, StagesOn(need + BufferBytes - 1));
    }

    [Fact]
    public void Device_with_room_for_all_but_the_buffer_is_refused_with_what_it_lacks()
    {
        var options = Options with { StagesMax = 1 };
        var need = NeedWithoutBuffer(Small.Model.LayerCount);

        var error = Assert.Throws<MemoryShortException>(() =>
            new LayoutSearch(Small, Cost, options).Run(Fleet(need + BufferBytes - 1), Load));

        Assert.Contains("(1,1,1)", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Unequal_devices_get_no_layers_into_the_buffer(int batch)
    {
        var cutter = new StageCutter(Small, Options, Load);
        var layers = Small.Model.LayerCount;
        // The small device holds two layers beside its buffer and lacks one byte of a third; the large one holds all.
        var small = Kind(cutter.NeedBytes(3, first: false, last: true, ranks: 1, batch) - 1);
        var large = Kind(1L << 40);

        var stages = cutter.Cut([large, small], ranks: 1, batch)!.Value;

        Assert.Equal([layers - 2, 2], stages.Select(stage => stage.Count));
    }

    /// <summary>By hand: weights of all layers and both ends, and whole KV pages of the batch.</summary>
    private static long NeedWithoutBuffer(int layers)
    {
        var share = Small.ShareOf(TensorGroup.Layers, 0, 1);
        var weights = (layers * Small.Bytes(TensorGroup.Layers, share))
            + Small.Bytes(TensorGroup.Front, Small.ShareOf(TensorGroup.Front, 0, 1))
            + Small.Bytes(TensorGroup.Back, Small.ShareOf(TensorGroup.Back, 0, 1));
        var pageTokens = 2 * (64 + 32);   // two sequences of 96 tokens are 12 whole pages
        return weights + Small.KvBytes(pageTokens, layers, Small.Model.KvHeadCount);
    }

    private static int StagesOn(long memoryBytes) =>
        new LayoutSearch(Small, Cost, Options).Run(Fleet(memoryBytes), Load).Chosen.Degrees.Stages;

    private static DeviceKind Kind(long memoryBytes) => new("kind", memoryBytes, 100e9, 10e12, 30e-6, 1);

    private static Instance[] Fleet(long memoryBytes) =>
        [.. Enumerable.Range(0, 2).Select(i => new Instance($"vm{i}", Kind(memoryBytes), 1))];
}
