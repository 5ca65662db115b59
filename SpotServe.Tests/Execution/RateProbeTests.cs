using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Execution;

public sealed class RateProbeTests
{
    private const int PieceBytes = 256 << 10;

    /// <summary>A layer has 48 MiB, of which the probe takes a part.</summary>
    private static readonly ModelSpec Large = FakeModel.Spec(
        layers: 2, heads: 4, kvHeads: 4, hidden: 1024, vocabulary: 16, contextMax: 16);

    private static readonly ModelSpec Tiny = FakeModel.Spec(
        layers: 2, heads: 4, kvHeads: 2, hidden: 8, vocabulary: 48, contextMax: 16);

    private readonly ManualClock _clock = new();

    [Fact]
    public async Task Rate_of_a_link_is_that_of_its_bytes_without_the_time_to_connect()
    {
        var link = new Link(_clock, connect: TimeSpan.FromSeconds(3), TimeSpan.FromMilliseconds(1));

        var rate = await Probe(Large).PeerAsync(Request(Large), link, TestContext.Current.CancellationToken);

        AssertNear(PieceBytes / 0.001, rate);
        Assert.InRange(link.Bytes, 8 << 20, 16 << 20);
    }

    [Fact]
    public async Task Slow_link_is_measured_for_a_bounded_time()
    {
        var link = new Link(_clock, connect: TimeSpan.Zero, TimeSpan.FromMilliseconds(20));
        var begun = _clock.GetTimestamp();

        var rate = await Probe(Large).PeerAsync(Request(Large), link, TestContext.Current.CancellationToken);

        AssertNear(PieceBytes / 0.02, rate);
        Assert.InRange(_clock.GetElapsedTime(begun), TimeSpan.Zero, TimeSpan.FromMilliseconds(200));
    }

    [Fact]
    public async Task Few_bytes_are_timed_from_the_request_on()
    {
        var link = new Link(_clock, connect: TimeSpan.FromMilliseconds(4), TimeSpan.FromMilliseconds(4));

        var rate = await Probe(Tiny).PeerAsync(Request(Tiny), link, TestContext.Current.CancellationToken);

        AssertNear(LayerBytes(Tiny) / 0.008, rate);
    }

    /// <summary>Code that runs for the first time and other work on the machine had a loopback of gigabytes a second
    /// pass for one of 44 MB/s, and layouts of several ranks for slow.</summary>
    [Fact]
    public async Task Link_that_was_slow_in_its_first_moments_is_measured_again()
    {
        var link = new Link(
            _clock, connect: TimeSpan.Zero, TimeSpan.FromMilliseconds(40), TimeSpan.FromMilliseconds(1));

        var rate = await Probe(Tiny).PeerAsync(Request(Tiny), link, TestContext.Current.CancellationToken);

        AssertNear(LayerBytes(Tiny) / 0.001, rate);
    }

    [Fact]
    public async Task Peer_that_does_not_send_has_no_rate()
    {
        var rate = await Probe(Tiny).PeerAsync(
            Request(Tiny), NoPeers.Instance, TestContext.Current.CancellationToken);

        Assert.Null(rate);
    }

    [Fact]
    public async Task Probe_of_real_memory_finds_both_rates_and_keeps_nothing()
    {
        var peers = new PeerRuntimes();
        var source = new FakeDeviceRuntime(Large);
        var id = peers.Add(source);
        using var engine = await source.PrepareAsync(
            PreparationOrder.FromFolder(new StageAssignment(
                new Epoch(1), default, new LayerRange(0, 2), 1, 1, 1, 16, 1)),
            peers, new Progress<LoadProgress>(), TestContext.Current.CancellationToken);
        using var device = new FakeDeviceRuntime(Large);

        var rates = await device.ProbeAsync(
            Request(Large) with { From = id }, peers, TestContext.Current.CancellationToken);

        Assert.True(rates is { Peer: > 0, Disk: > 0 }, $"{rates}");
        Assert.Empty(device.Weights);
        Assert.Equal(0, device.BytesInUse);
    }

    private static long LayerBytes(ModelSpec model) => FakeWeights.Shape(model).Bytes(
        TensorGroup.Layers, new Share(0, Share.Unit, 0, 0, Replicated: false));

    private static void AssertNear(double expected, double? rate) =>
        Assert.InRange(rate ?? 0, expected * 0.99, expected * 1.01);

    private RateProbe Probe(ModelSpec model)
    {
        var shape = FakeWeights.Shape(model);
        return new RateProbe(new WeightStore(shape, new FakeWeights(shape)), _clock);
    }

    private static SliceRequest Request(ModelSpec model) => new(
        new Epoch(1),
        new DeviceId("peer", 0),
        new WeightSlice(
            TensorGroup.Layers, new LayerRange(1, 2), new SliceGeometry(model).WholeShare(TensorGroup.Layers)),
        Pages: null,
        Urgent: true);

    /// <summary>Sends zeros at a rate of virtual time.</summary>
    /// <param name="times">A piece's time in the first fetch, the second and so on; the last one stays.</param>
    private sealed class Link(ManualClock clock, TimeSpan connect, params TimeSpan[] times) : ISliceFetcher
    {
        private int _fetches;

        public long Bytes { get; private set; }

        public Task FetchAsync(SliceRequest request, ITransferBlock into, CancellationToken cancel)
        {
            clock.Advance(connect);
            var perPiece = times[Math.Min(_fetches++, times.Length - 1)];
            for (var at = 0L; at < into.Bytes;)
            {
                var piece = new byte[Math.Min(PieceBytes, into.Bytes - at)];
                clock.Advance(perPiece);
                into.Write(at, piece);
                at += piece.Length;
                Bytes += piece.Length;
                if (cancel.IsCancellationRequested) return Task.FromCanceled(cancel);
            }

            return Task.CompletedTask;
        }
    }
}
