using System.Net;
using System.Net.Sockets;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class TransferLossTests
{
    private static readonly TransferOptions Hasty = new()
    {
        ChunkBytes = 4096,
        ProgressTimeout = TimeSpan.FromSeconds(0.5),
        TriesMax = 3,
    };

    /// <summary>For what has to go on: a thread that is slow to run is no loss.</summary>
    private static readonly TransferOptions Patient = Hasty with { ProgressTimeout = TransferPair.Patience };

    [Fact]
    public async Task Fetch_is_lost_when_the_source_does_not_hold_the_slice()
    {
        using var pair = new TransferPair(Patient);
        var unset = await Assert.ThrowsAsync<SliceLostException>(() => pair.FetchAsync(10));
        pair.Source.SliceSource = _ => null;
        var lacking = await Assert.ThrowsAsync<SliceLostException>(() => pair.FetchAsync(10));
        pair.Source.SliceSource = _ => new MemoryBlock(new byte[11]);
        var longer = await Assert.ThrowsAsync<SliceLostException>(() => pair.FetchAsync(10));
        pair.Source.SliceSource = _ => new MemoryBlock(new byte[9]);
        var shorter = await Assert.ThrowsAsync<SliceLostException>(() => pair.FetchAsync(10));

        Assert.Contains("does not hold it", unset.Message, StringComparison.Ordinal);
        Assert.Contains("does not hold it", lacking.Message, StringComparison.Ordinal);
        Assert.Contains("11 bytes where 10 are due", longer.Message, StringComparison.Ordinal);
        Assert.Contains("9 bytes", shorter.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fetch_is_lost_when_its_epoch_is_over_at_the_source()
    {
        using var pair = new TransferPair(Patient);
        pair.Source.SliceSource = _ => new MemoryBlock(new byte[10]);
        await pair.FetchAsync(10);

        pair.Source.RetireBefore(TransferPair.Epoch.Next);

        var error = await Assert.ThrowsAsync<SliceLostException>(() => pair.FetchAsync(10));
        Assert.Contains("epoch e4 is over", error.Message, StringComparison.Ordinal);
        var next = TransferPair.Request with { Epoch = TransferPair.Epoch.Next };
        await pair.FetchAsync(next, new MemoryBlock(new byte[10]), pair.Source.Endpoint);
    }

    [Fact]
    public async Task Transfer_ends_in_its_middle_when_its_epoch_ends_at_the_source()
    {
        using var pair = new TransferPair(Patient);
        using var reached = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        pair.Source.SliceSource = _ => new GateBlock(100 * 4096, 50 * 4096, reached, goOn);
        var fetching = pair.FetchAsync(100 * 4096);
        Assert.True(reached.Wait(TransferPair.Patience, TestContext.Current.CancellationToken), "waited for half");

        pair.Source.RetireBefore(TransferPair.Epoch.Next);
        goOn.Set();

        var error = await Assert.ThrowsAsync<SliceLostException>(() => fetching);
        Assert.Contains("epoch e4 is over", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fetch_is_lost_when_nobody_listens_at_the_source()
    {
        using var pair = new TransferPair(Hasty);
        pair.Source.Dispose();

        var error = await Assert.ThrowsAsync<SliceLostException>(() => pair.FetchAsync(10));

        Assert.Contains("tries in a row failed", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fetch_is_lost_when_no_endpoint_is_known()
    {
        using var pair = new TransferPair(Hasty);

        await Assert.ThrowsAsync<SliceLostException>(() => pair.Sink.Fetcher(TransferPair.Epoch, _ => null).FetchAsync(
            TransferPair.Request, new MemoryBlock([]), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Fetch_is_lost_when_the_source_stops_in_the_middle()
    {
        using var pair = new TransferPair(Hasty);
        using var reached = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        pair.Source.SliceSource = _ => new GateBlock(100 * 4096, 50 * 4096, reached, goOn);

        var error = await Assert.ThrowsAsync<SliceLostException>(() => pair.FetchAsync(100 * 4096));

        Assert.Contains("no byte came for 0.5 s", error.Message, StringComparison.Ordinal);
        goOn.Set();
    }

    [Fact]
    public async Task Fetch_is_lost_when_the_source_accepts_and_never_answers()
    {
        using var pair = new TransferPair(Hasty);
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();

        var error = await Assert.ThrowsAsync<SliceLostException>(() => pair.FetchAsync(
            TransferPair.Request, new MemoryBlock([]), (IPEndPoint)silent.LocalEndpoint));

        Assert.Contains("did not answer", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fetch_stops_when_it_is_cancelled_in_its_middle()
    {
        using var pair = new TransferPair(Patient);
        using var reached = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        using var cancel = new CancellationTokenSource();
        pair.Source.SliceSource = _ => new GateBlock(100 * 4096, 50 * 4096, reached, goOn);
        var fetching = pair.Sink.Fetcher(TransferPair.Epoch, _ => pair.Source.Endpoint).FetchAsync(
            TransferPair.Request, new MemoryBlock(new byte[100 * 4096]), cancel.Token);
        Assert.True(reached.Wait(TransferPair.Patience, TestContext.Current.CancellationToken), "waited for half");

        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => fetching.WaitAsync(
            TransferPair.Patience, TestContext.Current.CancellationToken));
        goOn.Set();
    }

    [Fact]
    public async Task Connections_are_bounded_and_kept_when_many_fetch_at_once()
    {
        var options = Patient with { ConnectionsPerPeerMax = 2 };
        using var pair = new TransferPair(options);
        var held = MemoryBlock.Random(50_000, seed: 3);
        var (open, most) = (0, 0);
        pair.Source.SliceSource = _ =>
        {
            var now = Interlocked.Increment(ref open);
            for (var seen = most; now > seen; seen = most) Interlocked.CompareExchange(ref most, now, seen);
            return new CountedBlock(held, () => Interlocked.Decrement(ref open));
        };
        using var proxy = new HostileProxy(pair.Source.Endpoint);

        var fetched = await Task.WhenAll(Enumerable.Range(0, 30).Select(_ =>
            pair.FetchAsync(held.Length, proxy: proxy)));

        Assert.All(fetched, bytes => Assert.Equal(held, bytes));
        Assert.InRange(most, 1, 2);
        Assert.InRange(proxy.Connections, 1, 2);
    }

    [Fact]
    public async Task Idle_connection_makes_room_when_a_source_serves_as_many_as_it_may()
    {
        var options = Patient with { ServingMax = 1 };
        using var pair = new TransferPair(options);
        using var third = TransferPair.MakeNode(options);
        var held = MemoryBlock.Random(5_000, seed: 4);
        pair.Source.SliceSource = _ => new MemoryBlock(held);

        for (var i = 0; i < 4; i++)
        {
            Assert.Equal(held, await pair.FetchAsync(held.Length));
            var into = new MemoryBlock(new byte[held.Length]);
            await third.Fetcher(TransferPair.Epoch, _ => pair.Source.Endpoint)
                .FetchAsync(TransferPair.Request, into, TestContext.Current.CancellationToken);
            Assert.Equal(held, into.Content);
        }
    }

    /// <summary>Stops its reader at an offset until told to go on.</summary>
    private sealed class GateBlock(
        int bytes, long gateAt, ManualResetEventSlim reached, ManualResetEventSlim goOn) : ITransferBlock
    {
        public long Bytes => bytes;

        public Span<byte> Direct(long offset) => [];

        public void Read(long offset, Span<byte> into)
        {
            into.Clear();
            if (offset < gateAt) return;
            reached.Set();
            goOn.Wait(TransferPair.Patience);
        }

        public void Write(long offset, ReadOnlySpan<byte> from) => throw new NotSupportedException();

        public void Dispose()
        {
        }
    }

    private sealed class CountedBlock(byte[] bytes, Action disposed) : ITransferBlock
    {
        public long Bytes => bytes.Length;

        public Span<byte> Direct(long offset) => bytes.AsSpan((int)offset);

        public void Read(long offset, Span<byte> into) => throw new NotSupportedException();

        public void Write(long offset, ReadOnlySpan<byte> from) => throw new NotSupportedException();

        public void Dispose() => disposed();
    }
}
