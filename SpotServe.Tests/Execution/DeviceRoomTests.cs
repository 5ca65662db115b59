using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Execution;

/// <summary>Memory that a peer still reads is not free, whoever planned with it.</summary>
public sealed class DeviceRoomTests : IDisposable
{
    private const int Layers = 4;
    private static readonly ModelSpec Model = FakeModel.Spec(layers: Layers);
    private static readonly Progress<LoadProgress> NoProgress = new();
    private readonly FakeDeviceRuntime _device = new(Model);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _device.Dispose();

    [Fact]
    public async Task Device_that_is_short_makes_pages_once_peers_have_read_the_weights_that_go()
    {
        (await PrepareAsync(Assignment(1, ranks: 1))).Dispose();
        var whole = Layer(0, new SliceGeometry(Model).WholeShare(TensorGroup.Layers));
        var reading = _device.OpenWeights(whole)!;

        var next = PrepareAsync(Assignment(2, ranks: 2), freesFirst: true);

        Assert.False(next.IsCompleted);
        Assert.Empty(_device.Engines);
        Assert.Null(_device.OpenWeights(whole));   // it goes: nobody new gets it
        Assert.True(reading.Bytes > 0);
        reading.Dispose();
        using var engine = await next;
        using var alone = new FakeDeviceRuntime(Model);
        using var other = await alone.PrepareAsync(
            PreparationOrder.FromFolder(Assignment(2, ranks: 2)), NoPeers.Instance, NoProgress, Cancel);
        Assert.Equal(alone.BytesInUse, _device.BytesInUse);
    }

    [Fact]
    public async Task Device_that_is_short_loads_once_peers_have_read_what_it_has_no_use_for()
    {
        (await PrepareAsync(Assignment(1, ranks: 1) with { Layers = new LayerRange(0, 2), StageCount = 2 })).Dispose();
        var reading = _device.OpenWeights(Layer(0, new SliceGeometry(Model).WholeShare(TensorGroup.Layers)))!;
        var last = Assignment(2, ranks: 1) with
        {
            Position = new Position(0, 1, 0),
            Layers = new LayerRange(2, Layers),
            StageCount = 2,
        };

        var next = PrepareAsync(last, freesFirst: true);

        Assert.False(next.IsCompleted);
        Assert.Empty(_device.Weights);
        reading.Dispose();
        using var engine = await next;
        Assert.Equal(new SliceGeometry(Model).Need(last), _device.Weights);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Pages_are_made_once_peers_have_read_those_of_older_engines(bool freesFirst)
    {
        var old = await PrepareAsync(Assignment(1, ranks: 1));
        var reading = _device.OpenPages(new PageRun(new Epoch(1), new LayerRange(0, 1), new AxisRange(0, 1), [3]))!;
        old.Dispose();

        var next = PrepareAsync(Assignment(2, ranks: 1), freesFirst);

        Assert.False(next.IsCompleted);
        reading.Dispose();
        using var engine = await next;
        Assert.Equal([new Epoch(2)], _device.Engines);
    }

    [Fact]
    public async Task Weights_that_still_go_are_waited_for_by_a_device_that_is_not_short_any_more()
    {
        (await PrepareAsync(Assignment(1, ranks: 1))).Dispose();
        var reading = _device.OpenWeights(Layer(0, new SliceGeometry(Model).WholeShare(TensorGroup.Layers)))!;
        using var stop = new CancellationTokenSource();
        var givenUp = _device.PrepareAsync(
            PreparationOrder.FromFolder(Assignment(2, ranks: 2)) with { FreesFirst = true }, NoPeers.Instance,
            NoProgress, stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => givenUp);

        var next = PrepareAsync(Assignment(3, ranks: 2));

        Assert.False(next.IsCompleted);
        reading.Dispose();
        using var engine = await next;
    }

    [Fact]
    public async Task Weights_of_an_older_preparation_are_waited_for_until_it_is_over()
    {
        var peers = new HeldPeer();
        var order = PreparationOrder.FromFolder(Assignment(1, ranks: 1)) with
        {
            Weights = [new WeightOrder(
                Layer(1, new SliceGeometry(Model).WholeShare(TensorGroup.Layers)), new DeviceId("peer", 0))],
        };
        var older = _device.PrepareAsync(order, peers, NoProgress, Cancel);
        Assert.False(older.IsCompleted);

        var next = PrepareAsync(Assignment(2, ranks: 2), freesFirst: true);

        Assert.False(next.IsCompleted);
        peers.Answer.SetException(new OperationCanceledException());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => older);
        using var engine = await next;
        Assert.Equal(new SliceGeometry(Model).Need(Assignment(2, ranks: 2)), _device.Weights);
    }

    private static WeightSlice Layer(int layer, Share share) =>
        new(TensorGroup.Layers, new LayerRange(layer, layer + 1), share);

    private static StageAssignment Assignment(int epoch, int ranks) => new(
        new Epoch(epoch), new Position(0, 0, 0), new LayerRange(0, Layers), 1, ranks, 8, 32, 4);

    private Task<IStageEngine> PrepareAsync(StageAssignment assignment, bool freesFirst = false) =>
        _device.PrepareAsync(
            PreparationOrder.FromFolder(assignment) with { FreesFirst = freesFirst }, NoPeers.Instance, NoProgress,
            Cancel);

    /// <summary>A peer that does not answer before it is told to.</summary>
    private sealed class HeldPeer : ISliceFetcher
    {
        public TaskCompletionSource Answer { get; } = new();

        public Task FetchAsync(SliceRequest request, ITransferBlock into, CancellationToken cancel) =>
            Answer.Task;
    }
}
