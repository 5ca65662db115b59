using CsCheck;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class TransferTests
{
    private const int ChunkBytes = 4096;

    /// <summary>What the handshake and the reply take of what comes back.</summary>
    private const int BeforeChunks = Handshake.HelloBytes + Handshake.ReplyHeadBytes + TransferWire.ReplyHeadBytes;

    private static readonly TransferOptions Small = new() { ChunkBytes = ChunkBytes };

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(ChunkBytes - 1)]
    [InlineData(ChunkBytes)]
    [InlineData(ChunkBytes + 1)]
    [InlineData((7 * ChunkBytes) + 13)]
    [InlineData((1024 * 1024) + 1)]
    public async Task Fetch_brings_every_byte_whatever_the_length_and_the_memory(int bytes)
    {
        using var pair = new TransferPair(Small);
        foreach (var runBytes in new[] { int.MaxValue, 0, 1000, 2 * ChunkBytes })
        {
            var held = MemoryBlock.Random(bytes, seed: bytes);
            pair.Source.SliceSource = _ => new MemoryBlock(held, runBytes == 1000 ? 777 : runBytes);

            Assert.Equal(held, await pair.FetchAsync(bytes, runBytes));
        }
    }

    [Fact]
    public async Task Fetch_copies_in_process_when_the_source_is_this_node()
    {
        using var node = TransferPair.MakeNode(Small);
        var held = MemoryBlock.Random(100_001, seed: 1);
        foreach (var (from, to) in new[] { (int.MaxValue, 0), (0, 0), (777, 1000), (0, int.MaxValue) })
        {
            var source = new MemoryBlock(held, from);
            var into = new MemoryBlock(new byte[held.Length], to);
            node.SliceSource = _ => source;

            await node.Fetcher(TransferPair.Epoch, _ => node.Endpoint)
                .FetchAsync(TransferPair.Request, into, TestContext.Current.CancellationToken);

            Assert.Equal(held, into.Content);
            Assert.True(source.IsDisposed);
        }
    }

    [Fact]
    public async Task Source_is_asked_for_exactly_what_was_requested_and_its_block_is_closed()
    {
        using var pair = new TransferPair(Small);
        var pages = new PageRun(
            new Epoch(2), new LayerRange(5, 9), new AxisRange(2, 4), [.. Enumerable.Range(7, PageRun.PagesMax)]);
        var request = new SliceRequest(TransferPair.Epoch, new DeviceId("a näme#ff", 3), null, pages, Urgent: true);
        var block = new MemoryBlock(new byte[10]);
        SliceRequest? asked = null;
        pair.Source.SliceSource = received =>
        {
            asked = received;
            return block;
        };

        await pair.FetchAsync(request, new MemoryBlock(new byte[10]), pair.Source.Endpoint);

        Assert.Equal(pages.Pages, asked!.Pages!.Pages.AsEnumerable());
        Assert.Equal(request, asked with { Pages = pages });
        Assert.Equal(pages with { Pages = [] }, asked.Pages with { Pages = [] });
        Assert.True(block.IsDisposed);
    }

    [Fact]
    public async Task Weights_are_asked_for_by_their_slice()
    {
        using var pair = new TransferPair(Small);
        SliceRequest? asked = null;
        pair.Source.SliceSource = received =>
        {
            asked = received;
            return new MemoryBlock([]);
        };

        await pair.FetchAsync(0);

        Assert.Equal(TransferPair.Request, asked);
    }

    [Fact]
    public void Fetch_is_resumed_at_the_last_good_chunk_wherever_the_connection_is_cut() =>
        Gen.Select(Gen.Int[0, 60_000], Gen.Int[-200, 60_000].Array[0, 4], Gen.Int[0, 3]).Sample(
            (bytes, cuts, runs) =>
            {
                using var pair = new TransferPair(Small);
                var held = MemoryBlock.Random(bytes, seed: bytes);
                pair.Source.SliceSource = _ => new MemoryBlock(held);
                using var proxy = new HostileProxy(
                    pair.Source.Endpoint,
                    [.. cuts.Select(at => new HostileProxy.Harm(Math.Max(0, BeforeChunks + at), Cut: true))]);

                var fetched = pair.FetchAsync(bytes, runs * 999, proxy);

                Assert.True(fetched.Wait(TransferPair.Patience), "waited for a fetch over cut connections");
                Assert.Equal(held, fetched.Result);
            },
            iter: 60,
            threads: 1);

    [Fact]
    public async Task Resuming_asks_only_for_what_is_missing()
    {
        using var pair = new TransferPair(Small);
        var held = MemoryBlock.Random(100 * ChunkBytes, seed: 1);
        pair.Source.SliceSource = _ => new MemoryBlock(held);
        var half = BeforeChunks + (50L * (ChunkBytes + TransferWire.ChunkHeadBytes));
        // The second connection has just enough for the rest: were it to begin anew, it would be cut.
        using var proxy = new HostileProxy(
            pair.Source.Endpoint, new(half, Cut: true), new(half + ChunkBytes, Cut: true));

        Assert.Equal(held, await pair.FetchAsync(held.Length, proxy: proxy));
        Assert.Equal(2, proxy.Connections);
    }

    [Fact]
    public async Task Corrupted_chunk_is_detected_and_asked_again_on_the_same_connection()
    {
        using var pair = new TransferPair(Small);
        var held = MemoryBlock.Random(9 * ChunkBytes, seed: 2);
        pair.Source.SliceSource = _ => new MemoryBlock(held);
        using var proxy = new HostileProxy(
            pair.Source.Endpoint, new HostileProxy.Harm(BeforeChunks + (3 * ChunkBytes), Cut: false));

        Assert.Equal(held, await pair.FetchAsync(held.Length, proxy: proxy));
        Assert.Equal(1, proxy.Connections);
    }

    [Fact]
    public void No_corruption_of_a_single_bit_goes_unnoticed() =>
        Gen.Int[0, (6 * (ChunkBytes + TransferWire.ChunkHeadBytes)) - 1].Sample(
            at =>
            {
                using var pair = new TransferPair(Small);
                var held = MemoryBlock.Random(6 * ChunkBytes, seed: at);
                pair.Source.SliceSource = _ => new MemoryBlock(held);
                using var proxy = new HostileProxy(
                    pair.Source.Endpoint, new HostileProxy.Harm(BeforeChunks + at, Cut: false));

                var fetched = pair.FetchAsync(held.Length, proxy: proxy);

                Assert.True(fetched.Wait(TransferPair.Patience), "waited for a fetch with a corrupted bit");
                Assert.Equal(held, fetched.Result);
            },
            iter: 40,
            threads: 1);

    [Fact]
    public async Task Fetch_gives_up_when_the_same_chunk_keeps_failing()
    {
        using var pair = new TransferPair(Small with { TriesMax = 3 });
        var turn = 0;
        // A source whose memory changes between checksum and sending looks the same as a broken network.
        pair.Source.SliceSource = _ => new ShiftingBlock(10, () => turn++);

        var error = await Assert.ThrowsAsync<SliceLostException>(() => pair.FetchAsync(10));

        Assert.Contains("checksum", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Gives different bytes each time that it is read.</summary>
    private sealed class ShiftingBlock(int bytes, Func<int> next) : ITransferBlock
    {
        public long Bytes => bytes;

        public Span<byte> Direct(long offset) => [];

        public void Read(long offset, Span<byte> into) => into.Fill((byte)next());

        public void Write(long offset, ReadOnlySpan<byte> from) => throw new NotSupportedException();

        public void Dispose()
        {
        }
    }
}
