using SpotServe.Node.Engine.Cuda;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>How row-parallel products are cut into blocks on a GPU of 132 multiprocessors.</summary>
public sealed class RowBlocksTests
{
    private const int Multiprocessors = 132;
    private const int SharedBytesMax = 227 * 1_024;

    [Theory]
    [InlineData(2, 4_096, 8, 1)]
    [InlineData(2, 5_120, 8, 2)]
    [InlineData(4, 4_096, 4, 1)]
    [InlineData(4, 5_120, 8, 1)]
    [InlineData(8, 4_096, 8, 1)]
    public void Blocks_have_few_warps_where_there_is_a_multiprocessor_for_each(
        int ranks, int hidden, int warps, int each) =>
        Assert.Equal(new RowBlocks(warps, each), RowBlocks.For(ranks, hidden, Multiprocessors));

    [Fact]
    public void Two_blocks_fit_a_multiprocessor_only_where_there_are_more_than_these()
    {
        const int Needed = 100 * 1_024;

        Assert.True(2 * RowBlocks.For(4, 4_096, Multiprocessors).SharedBytes(Needed) > SharedBytesMax);
        Assert.Equal(Needed, RowBlocks.For(2, 5_120, Multiprocessors).SharedBytes(Needed));
    }
}
