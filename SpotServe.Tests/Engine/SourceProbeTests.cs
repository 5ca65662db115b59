using System.Diagnostics;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;
using SpotServe.Node.Engine;
using SpotServe.Seed.Bench;
using SpotServe.Tests.DataPlane;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>What a node that joins measures of its peers and its disk, over the real data plane.</summary>
[Collection("Engine")]
public sealed class SourceProbeTests(ITestOutputHelper output)
{
    private static readonly Epoch Epoch = new(1);

    [Fact]
    public async Task Probe_over_the_data_plane_finds_both_rates_and_keeps_no_weights()
    {
        using var pair = new Pair(GoldenModel.Folder("llama-gqa"), ElementType.Float32);

        var rates = await pair.ProbeAsync();

        Assert.True(rates is { Peer: > 0, Disk: > 0 }, $"{rates}");
        Assert.Empty(pair.Sink.Weights);
    }

    /// <summary>By command, because it writes 2.2 GB: <c>SpotServe.Tests -explicit only -class
    /// SpotServe.Tests.Engine.SourceProbeTests -showLiveOutput</c>.</summary>
    [Fact(Explicit = true)]
    public async Task Probed_rates_beside_those_of_whole_loads()
    {
        var folder = Path.Combine(TemporaryFolders.Create(), "made-1b");
        MadeModel.WriteOneBillion(folder);
        using var pair = new Pair(folder, ElementType.BFloat16);

        for (var round = 0; round < 3; round++)
        {
            var rates = await pair.ProbeAsync();
            var disk = await pair.LoadAsync(fromPeer: false);
            var peer = await pair.LoadAsync(fromPeer: true);
            output.WriteLine(
                $"probed {rates}; whole loads {peer / 1e9:0.000} GB/s from a peer, {disk / 1e9:0.000} GB/s from disk");
        }
    }

    /// <summary>One device with all weights of a model and one with none, joined by the data plane.</summary>
    private sealed class Pair : IDisposable
    {
        private readonly string _folder;
        private readonly ElementType _type;
        private readonly TransferPair _nodes = new();
        private readonly TorchDeviceRuntime _source;
        private readonly TorchStageEngine _engine;
        private readonly StageAssignment _assignment;

        public Pair(string folder, ElementType type)
        {
            (_folder, _type) = (folder, type);
            _source = Open();
            Sink = Open();
            _assignment = new StageAssignment(
                Epoch, default, new LayerRange(0, _source.Model.LayerCount), 1, 1, PageCount: 1, 16, 1);
            _engine = _source.Load(_assignment, progress: null, CancellationToken.None);
            _nodes.Source.SliceSource = request => _source.OpenWeights(request.Weights!.Value);
        }

        public TorchDeviceRuntime Sink { get; }

        private ISliceFetcher Fetcher => _nodes.Sink.Fetcher(Epoch, _ => _nodes.Source.Endpoint);

        public Task<SourceRates> ProbeAsync() => Sink.ProbeAsync(
            new SliceRequest(Epoch, new DeviceId("source", 0), Layer(0, 1), Pages: null, Urgent: true),
            Fetcher,
            TestContext.Current.CancellationToken);

        /// <returns>Bytes per second of loading all layers anew.</returns>
        public async Task<double> LoadAsync(bool fromPeer)
        {
            using var sink = Open();
            var orders = fromPeer
                ? new[] { new WeightOrder(Layer(0, sink.Model.LayerCount), new DeviceId("source", 0)) }
                : [];
            var geometry = new SliceGeometry(sink.Model);
            var started = Stopwatch.GetTimestamp();
            using var engine = await sink.PrepareAsync(
                new PreparationOrder(_assignment, [.. orders], SharedPages: null),
                Fetcher,
                new Progress<LoadProgress>(),
                TestContext.Current.CancellationToken);
            var bytes = geometry.Need(_assignment).Sum(geometry.Bytes);
            return bytes / Stopwatch.GetElapsedTime(started).TotalSeconds;
        }

        public void Dispose()
        {
            _engine.Dispose();
            _source.Dispose();
            Sink.Dispose();
            _nodes.Dispose();
        }

        private TorchDeviceRuntime Open() => new(
            new TorchRuntimeOptions { ModelFolder = _folder, WeightType = _type, Threads = 1 });

        private WeightSlice Layer(int first, int end) => new(
            TensorGroup.Layers,
            new LayerRange(first, end),
            new SliceGeometry(_source.Model).WholeShare(TensorGroup.Layers));
    }
}
