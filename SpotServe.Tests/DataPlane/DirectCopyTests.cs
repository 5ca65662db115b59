using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using Xunit;

namespace SpotServe.Tests.DataPlane;

/// <summary>What goes from device to device of one node goes without the host where the devices can.</summary>
public sealed class DirectCopyTests
{
    private const long HeadBytes = 48;

    [Fact]
    public void Pages_that_lie_differently_on_both_devices_arrive_whole()
    {
        var (from, into) = (Pools(seed: 1, heads: 4), Pools(seed: 2, heads: 3));
        using var source = View(from, heads: 4, skipped: 1, [5, 6, 2, 40, 41, 42]);
        using var target = View(into, heads: 3, skipped: 0, [9, 1, 30, 31, 8, 7]);

        BlockCopy.Run(source, target, TestContext.Current.CancellationToken);

        Assert.Equal(Bytes(source), Bytes(target));
        Assert.All(into, pool => Assert.True(pool.Copies > 0));
    }

    [Fact]
    public void Devices_that_cannot_copy_to_each_other_go_through_the_host()
    {
        var (from, into) = (Pools(seed: 1, heads: 2), Pools(seed: 2, heads: 2, canCopy: false));
        using var source = View(from, heads: 2, skipped: 0, [3, 4]);
        using var target = View(into, heads: 2, skipped: 0, [8, 1]);

        BlockCopy.Run(source, target, TestContext.Current.CancellationToken);

        Assert.Equal(Bytes(source), Bytes(target));
        Assert.All(into, pool => Assert.Equal(0, pool.Copies));
    }

    [Fact]
    public void Heads_of_pages_in_a_row_are_one_copy()
    {
        var (from, into) = (Pools(seed: 1, heads: 4), Pools(seed: 2, heads: 3));
        using var source = View(from, heads: 4, skipped: 1, [5, 6, 7, 8]);
        using var target = View(into, heads: 3, skipped: 0, [20, 21, 22, 23]);

        BlockCopy.Run(source, target, TestContext.Current.CancellationToken);

        Assert.Equal(Bytes(source), Bytes(target));
        Assert.All(into, pool => Assert.Equal(1, pool.Copies));
    }

    [Theory]
    [InlineData(96, 96)]
    [InlineData(40, 96)]
    [InlineData(96, 40)]
    [InlineData(64, 40)]
    public void Columns_of_a_matrix_are_one_copy(long fromStride, long intoStride)
    {
        const int Rows = 50, Width = 40;
        var (from, into) = (Memory(seed: 1, Rows * fromStride), Memory(seed: 2, Rows * intoStride));
        using var source = Columns(from, Rows, Width, fromStride);
        using var target = Columns(into, Rows, Width, intoStride);

        BlockCopy.Run(source, target, TestContext.Current.CancellationToken);

        Assert.Equal(Bytes(source), Bytes(target));
        Assert.Equal(1, into.Copies);
    }

    [Fact]
    public void Rows_of_different_widths_arrive_whole()
    {
        var (from, into) = (Memory(seed: 1, 30 * 96), Memory(seed: 2, 20 * 64));
        using var source = Columns(from, rows: 30, width: 40, stride: 96);
        using var target = Columns(into, rows: 20, width: 60, stride: 64);

        BlockCopy.Run(source, target, TestContext.Current.CancellationToken);

        Assert.Equal(Bytes(source), Bytes(target));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(39)]
    [InlineData(40)]
    [InlineData(100)]
    public void A_copy_never_takes_more_than_it_may(long bytesMax)
    {
        var memory = Memory(seed: 1, 5_000);
        var copy = MemoryCopy.Of(
            new MemoryRun(memory, 0, Width: 40, Stride: 96, Rows: 50), MemoryRun.Together(memory, 0, 2_000), bytesMax);

        Assert.InRange(copy.Bytes, Math.Min(bytesMax, 40), bytesMax);
    }

    private static RectangleView Columns(DeviceBytes memory, long rows, long width, long stride) =>
        new([new Segment(0, rows, [new Strip(memory, 0, stride, width)])], null);

    private static DeviceBytes Memory(int seed, long bytes)
    {
        var data = new byte[bytes];
        new Random(seed).NextBytes(data);
        return new DeviceBytes(data, canCopy: true);
    }

    private static DeviceBytes[] Pools(int seed, int heads, bool canCopy = true)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, 2).Select(_ =>
        {
            var data = new byte[50 * 2 * heads * HeadBytes];
            random.NextBytes(data);
            return new DeviceBytes(data, canCopy);
        })];
    }

    /// <summary>Two heads of some pages.</summary>
    private static PageView View(DeviceBytes[] pools, int heads, int skipped, int[] pages) => new(
        pools, [.. pages], 2 * heads * HeadBytes, HeadBytes, halves: 2, skippedHeads: skipped, heads: 2,
        close: () => { });

    private static byte[] Bytes(ITransferBlock view)
    {
        var bytes = new byte[view.Bytes];
        view.Read(0, bytes);
        return bytes;
    }

    /// <summary>Memory that the host cannot reach directly.</summary>
    private sealed class DeviceBytes(byte[] data, bool canCopy) : TensorBytes(data.Length)
    {
        public int Copies { get; private set; }

        public override bool IsOnDevice => true;

        public override Span<byte> Direct(long offset, long bytes) => [];

        public override void Read(long offset, Span<byte> into) => data.AsSpan((int)offset, into.Length).CopyTo(into);

        public override void Write(long offset, ReadOnlySpan<byte> from) =>
            from.CopyTo(data.AsSpan((int)offset, from.Length));

        public override bool TryCopy(IReadOnlyList<MemoryCopy> copies)
        {
            if (!canCopy) return false;
            foreach (var copy in copies)
            {
                var buffer = new byte[copy.Width];
                for (long row = 0; row < copy.Rows; row++)
                {
                    copy.From.Read(copy.FromOffset + (row * copy.FromStride), buffer);
                    copy.Into.Write(copy.IntoOffset + (row * copy.IntoStride), buffer);
                }

                ((DeviceBytes)copy.Into).Copies++;
            }

            return true;
        }

        protected override void Free()
        {
        }
    }
}
