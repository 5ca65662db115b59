using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using Xunit;

namespace SpotServe.Tests.DataPlane;

/// <summary>What goes from device to device of one node goes without the host where the devices can.</summary>
public sealed class DirectCopyTests
{
    private const long HeadBytes = 48;

    private static readonly SliceRequest Request = new(
        new Epoch(2), new DeviceId("n", 0), null,
        new PageRun(new Epoch(1), new LayerRange(0, 2), new AxisRange(0, 2), [0]), Urgent: true);

    [Theory]
    [InlineData(4_096)]
    [InlineData(1 << 20)]
    public void Pages_that_lie_differently_on_both_devices_arrive_whole(int chunkBytes)
    {
        var (from, into) = (Pools(seed: 1, heads: 4), Pools(seed: 2, heads: 3));
        using var source = View(from, heads: 4, skipped: 1, [5, 6, 2, 40, 41, 42]);
        using var target = View(into, heads: 3, skipped: 0, [9, 1, 30, 31, 8, 7]);

        BlockCopy.Run(Request, source, target, chunkBytes, Pacer(), TestContext.Current.CancellationToken);

        Assert.Equal(Bytes(source), Bytes(target));
        Assert.All(into, pool => Assert.True(pool.Copies > 0));
    }

    [Fact]
    public void Devices_that_cannot_copy_to_each_other_go_through_the_host()
    {
        var (from, into) = (Pools(seed: 1, heads: 2), Pools(seed: 2, heads: 2, canCopy: false));
        using var source = View(from, heads: 2, skipped: 0, [3, 4]);
        using var target = View(into, heads: 2, skipped: 0, [8, 1]);

        BlockCopy.Run(Request, source, target, 4_096, Pacer(), TestContext.Current.CancellationToken);

        Assert.Equal(Bytes(source), Bytes(target));
        Assert.All(into, pool => Assert.Equal(0, pool.Copies));
    }

    private static TransferPacer Pacer() => new(new TransferPacerOptions(), TimeProvider.System);

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
        pools, [.. pages], 2 * heads * HeadBytes, HeadBytes, halves: 2, skippedHeads: skipped, heads: 2);

    private static byte[] Bytes(PageView view)
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
                var buffer = new byte[copy.Bytes];
                copy.From.Read(copy.FromOffset, buffer);
                copy.Into.Write(copy.IntoOffset, buffer);
                ((DeviceBytes)copy.Into).Copies++;
            }

            return true;
        }

        protected override void Free()
        {
        }
    }
}
