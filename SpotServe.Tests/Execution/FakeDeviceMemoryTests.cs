using System.Collections.Immutable;
using SpotServe.Actors;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Execution;

public sealed class FakeDeviceMemoryTests
{
    private const int Layers = 4;
    private static readonly ModelSpec Model = FakeModel.Spec(layers: Layers);
    private static readonly Progress<LoadProgress> NoProgress = new();
    private readonly PeerRuntimes _peers = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Weights_that_were_recut_by_peers_equal_those_of_the_folder()
    {
        // 1 rank, then 2, 4 and 1 again; each time from the devices before alone.
        List<FakeDeviceRuntime> before = [await DeviceAsync(Assignment(1, 0, 1))];
        var folder = before[0];
        foreach (var ranks in new[] { 2, 4, 1 })
        {
            var peers = new PeerRuntimes();
            foreach (var device in before) peers.Add(device);
            var next = new List<FakeDeviceRuntime>();
            for (var rank = 0; rank < ranks; rank++)
            {
                var loaded = new Last();
                var runtime = new FakeDeviceRuntime(Model);
                using var engine = await runtime.PrepareAsync(
                    peers.Order(Assignment(1, rank, ranks)), peers, loaded, Cancel);
                next.Add(runtime);

                Assert.Equal(loaded.Value.TotalBytes, loaded.Value.PeerBytes);
                foreach (var slice in OneLayerEach(runtime.Weights))
                {
                    Assert.Equal(
                        PeerRuntimes.Bytes(folder.OpenWeights(slice)), PeerRuntimes.Bytes(runtime.OpenWeights(slice)));
                }
            }

            before = next;
        }
    }

    [Fact]
    public async Task Device_that_is_short_gives_up_what_its_next_position_has_no_use_for_before_it_loads()
    {
        using var device = new FakeDeviceRuntime(Model);
        var first = new StageAssignment(new Epoch(1), new Position(0, 0, 0), new LayerRange(0, 2), 2, 1, 8, 64, 4);
        var next = first with
        {
            Epoch = new Epoch(2),
            Position = new Position(0, 1, 0),
            Layers = new LayerRange(1, Model.LayerCount),
        };
        (await device.PrepareAsync(PreparationOrder.FromFolder(first), NoPeers.Instance, NoProgress, Cancel)).Dispose();
        var loaded = new Last();

        using var engine = await device.PrepareAsync(
            PreparationOrder.FromFolder(next) with { FreesFirst = true }, NoPeers.Instance, loaded, Cancel);

        Assert.True(loaded.Value.ReusedBytes > 0);
        Assert.DoesNotContain(device.Weights, slice => slice.Group == TensorGroup.Front);
        Assert.All(
            device.Weights.Where(slice => slice.Group == TensorGroup.Layers),
            slice => Assert.True(slice.Layers.First >= 1, slice.ToString()));
    }

    [Fact]
    public async Task Step_fails_when_a_peer_sent_a_wrong_byte()
    {
        var source = await DeviceAsync(Assignment(1, 0, 1));
        _peers.Add(source);
        var broken = new BrokenFetcher(_peers);
        var runtime = new FakeDeviceRuntime(Model);

        using var engine = await runtime.PrepareAsync(_peers.Order(Assignment(1, 0, 1)), broken, NoProgress, Cancel);

        Assert.Throws<InvariantException>(() => Run(engine, 0, 3, [0]));
    }

    [Fact]
    public async Task Lost_source_is_replaced_by_the_folder()
    {
        var source = await DeviceAsync(Assignment(1, 0, 1));
        _peers.Add(source);
        _peers.BeforeAnswer = request => throw new SliceLostException(request, "it is gone");
        using var runtime = new FakeDeviceRuntime(Model);
        var loaded = new Last();

        using var engine = await runtime.PrepareAsync(_peers.Order(Assignment(1, 0, 1)), _peers, loaded, Cancel);

        Assert.NotEmpty(_peers.Requests);
        Assert.Equal(0, loaded.Value.PeerBytes);
        Assert.Equal(new FakeModel(Model).NextToken([5, 6, 7], SamplingParameters.Greedy), Run(engine, 0, 3, [0]));
    }

    [Fact]
    public async Task Source_that_dies_midway_is_replaced_by_the_folder_for_what_has_not_come()
    {
        var source = await DeviceAsync(Assignment(1, 0, 1));
        _peers.Add(source);
        var answers = 0;
        _peers.BeforeAnswer = request =>
        {
            if (++answers > 3) throw new SliceLostException(request, "it is gone");
        };
        using var runtime = new FakeDeviceRuntime(Model);
        var loaded = new Last();

        using var engine = await runtime.PrepareAsync(_peers.Order(Assignment(1, 0, 1)), _peers, loaded, Cancel);

        Assert.InRange(loaded.Value.PeerBytes, 1, loaded.Value.TotalBytes - 1);
        Assert.Equal(loaded.Value.TotalBytes, loaded.Value.LoadedBytes);
        Assert.Equal(new FakeModel(Model).NextToken([5, 6, 7], SamplingParameters.Greedy), Run(engine, 0, 3, [0]));
    }

    [Fact]
    public async Task Cancelled_preparation_keeps_the_layers_that_were_complete()
    {
        var source = await DeviceAsync(Assignment(1, 0, 1));
        _peers.Add(source);
        using var stop = new CancellationTokenSource();
        _peers.BeforeAnswer = request =>
        {
            if (request.Weights is not { Group: TensorGroup.Layers, Layers.First: 2 }) return;
            stop.Cancel();
            throw new OperationCanceledException(stop.Token);
        };
        using var runtime = new FakeDeviceRuntime(Model);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => runtime.PrepareAsync(
            _peers.Order(Assignment(1, 0, 1)), _peers, NoProgress, stop.Token));

        var share = new SliceGeometry(Model).WholeShare(TensorGroup.Layers);
        Assert.Contains(new WeightSlice(TensorGroup.Layers, new LayerRange(0, 2), share), runtime.Weights);
        _peers.Requests.Clear();
        _peers.BeforeAnswer = _ => { };
        var loaded = new Last();
        using var engine = await runtime.PrepareAsync(_peers.Order(Assignment(2, 0, 1)), _peers, loaded, Cancel);
        Assert.DoesNotContain(
            _peers.Requests, request => request.Weights is { Group: TensorGroup.Layers, Layers.First: < 2 });
        Assert.True(loaded.Value.ReusedBytes > 0);
    }

    [Fact]
    public async Task Weights_stay_until_they_are_trimmed_and_not_while_an_engine_uses_them()
    {
        using var runtime = new FakeDeviceRuntime(Model);
        var old = await runtime.PrepareAsync(
            PreparationOrder.FromFolder(Assignment(1, 0, 1)), NoPeers.Instance, NoProgress, Cancel);
        using var next = await runtime.PrepareAsync(
            PreparationOrder.FromFolder(Assignment(2, 1, 2)) with { Predecessor = new Epoch(1) },
            NoPeers.Instance, NoProgress, Cancel);
        runtime.Trim();
        Assert.Equal(2, runtime.Weights.Count(slice => slice.Group == TensorGroup.Layers));

        old.Dispose();

        Assert.Equal(2, runtime.Weights.Count(slice => slice.Group == TensorGroup.Layers));
        runtime.Trim();
        var need = new PositionNeed(new LayerRange(0, Layers), 1, 2, true, true);
        Assert.Equal(new SliceGeometry(Model).Need(need), runtime.Weights);
    }

    [Fact]
    public async Task Union_of_blocks_can_be_opened_and_what_is_not_held_cannot()
    {
        var whole = await DeviceAsync(Assignment(1, 0, 1));
        using var runtime = await DeviceAsync(Assignment(1, 0, 4));
        using var quarter = await runtime.PrepareAsync(
            PreparationOrder.FromFolder(Assignment(2, 1, 4)) with { Predecessor = new Epoch(1) },
            NoPeers.Instance, NoProgress, Cancel);
        var geometry = new SliceGeometry(Model);
        var half = new WeightSlice(
            TensorGroup.Layers, new LayerRange(1, 2), geometry.ShareOf(TensorGroup.Layers, 0, 2));

        Assert.Equal(PeerRuntimes.Bytes(whole.OpenWeights(half)), PeerRuntimes.Bytes(runtime.OpenWeights(half)));
        Assert.Null(runtime.OpenWeights(half with { Share = geometry.WholeShare(TensorGroup.Layers) }));
        Assert.Null(runtime.OpenPages(new PageRun(new Epoch(9), new(0, 1), new(0, 1), [0])));
        Assert.Null(runtime.OpenPages(new PageRun(new Epoch(2), new(0, 1), new(0, 4), [0])));
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(4, 2)]
    [InlineData(2, 8)]
    public async Task Pages_moved_to_other_ranks_are_those_that_the_ranks_would_have_written(int before, int after)
    {
        ImmutableArray<int> pages = [3, 0];
        var old = await RanksAsync(1, before);
        var expected = await RanksAsync(2, after);
        foreach (var (_, _, engine) in old.Concat(expected)) Fill(engine, pages);

        var next = await RanksAsync(3, after);
        foreach (var (target, assignment, _) in next)
        {
            foreach (var (source, of, _) in old) PeerRuntimes.MovePages(source, of, target, assignment, pages);
        }

        for (var rank = 0; rank < after; rank++)
        {
            foreach (var page in pages)
                Assert.Equal(expected[rank].Engine.Page(1, page), next[rank].Engine.Page(1, page));
        }

        // What a rank writes is told by its heads alone, so ranks need no exchange to fill pages for this test.
        static void Fill(FakeStageEngine engine, ImmutableArray<int> pages)
        {
            var heads = TensorSlices.KvHeads(Model, engine.Assignment.Position.Rank, engine.Assignment.RankCount);
            foreach (var page in pages)
            {
                var entries = engine.Page(1, page);
                for (var i = 0; i < entries.Length; i++)
                    entries[i] = (page * 10_000) + ((heads.First + (i / KvPage.Tokens)) * 100) + (i % KvPage.Tokens);
            }
        }
    }

    [Fact]
    public async Task Shared_pages_survive_the_old_engine()
    {
        using var runtime = new FakeDeviceRuntime(Model);
        var old = await runtime.PrepareAsync(
            PreparationOrder.FromFolder(Assignment(1, 0, 1)), NoPeers.Instance, NoProgress, Cancel);
        int[] tokens = [.. Enumerable.Range(5, 20)];
        Run(old, 0, 19, [4, 2], tokens);

        using var next = await runtime.PrepareAsync(
            new PreparationOrder(Assignment(2, 0, 1), [], new Epoch(1)), NoPeers.Instance, NoProgress, Cancel);
        old.Dispose();

        Assert.Equal(
            new FakeModel(Model).NextToken(tokens, SamplingParameters.Greedy), Run(next, 19, 20, [4, 2], tokens));
    }

    [Fact]
    public async Task Pages_are_made_once_the_older_engines_are_gone_that_they_have_no_room_beside()
    {
        using var runtime = new FakeDeviceRuntime(Model);
        var serving = await runtime.PrepareAsync(
            PreparationOrder.FromFolder(Assignment(1, 0, 1)), NoPeers.Instance, NoProgress, Cancel);
        var givenUp = await runtime.PrepareAsync(
            PreparationOrder.FromFolder(Assignment(2, 0, 1)) with { Predecessor = new Epoch(1) }, NoPeers.Instance,
            NoProgress, Cancel);

        var next = runtime.PrepareAsync(
            PreparationOrder.FromFolder(Assignment(3, 0, 1)) with { Predecessor = new Epoch(1) }, NoPeers.Instance,
            NoProgress, Cancel);

        Assert.False(next.IsCompleted);
        Assert.Equal([new Epoch(1), new Epoch(2)], runtime.Engines);
        givenUp.Dispose();
        using var third = await next;
        Assert.Equal([new Epoch(1), new Epoch(3)], runtime.Engines);
        serving.Dispose();
    }

    [Fact]
    public async Task Pages_of_an_epoch_that_is_not_here_cannot_be_shared()
    {
        using var runtime = new FakeDeviceRuntime(Model);

        await Assert.ThrowsAsync<InvalidOperationException>(() => runtime.PrepareAsync(
            new PreparationOrder(Assignment(2, 0, 1), [], new Epoch(1)), NoPeers.Instance, NoProgress, Cancel));

        runtime.Trim();
        Assert.Empty(runtime.Weights);
    }

    private static StageAssignment Assignment(int epoch, int rank, int ranks) => new(
        new Epoch(epoch), new Position(0, 0, rank), new LayerRange(0, Layers), 1, ranks, 8, 32, 4);

    private static async Task<FakeDeviceRuntime> DeviceAsync(StageAssignment assignment) =>
        (await DeviceWithEngineAsync(assignment)).Runtime;

    private static async Task<Loaded> DeviceWithEngineAsync(StageAssignment assignment)
    {
        var runtime = new FakeDeviceRuntime(Model);
        var engine = await runtime.PrepareAsync(
            PreparationOrder.FromFolder(assignment), NoPeers.Instance, NoProgress, Cancel);
        return new Loaded(runtime, assignment, (FakeStageEngine)engine);
    }

    private static async Task<Loaded[]> RanksAsync(int epoch, int ranks) => await Task.WhenAll(
        Enumerable.Range(0, ranks).Select(rank => DeviceWithEngineAsync(Assignment(epoch, rank, ranks))));

    private static IEnumerable<WeightSlice> OneLayerEach(IEnumerable<WeightSlice> slices) =>
        slices.SelectMany(slice => Enumerable.Range(slice.Layers.First, slice.Layers.Count)
            .Select(layer => slice with { Layers = new LayerRange(layer, layer + 1) }));

    private static int Run(IStageEngine engine, int start, int end, int[] pages, int[]? tokens = null)
    {
        using var single = new SingleRankCollective();
        var plan = new StepPlan();
        plan.Clear(1);
        plan.Add(
            start, (tokens ?? [5, 6, 7]).AsSpan(start, end - start), pages.AsSpan(0, KvPage.Count(end)), samples: true,
            SamplingParameters.Greedy);
        var draws = new StepDraws();
        draws.Begin(plan);
        engine.Step(plan, single, draws);
        return draws.Tokens[0];
    }

    private sealed record Loaded(FakeDeviceRuntime Runtime, StageAssignment Assignment, FakeStageEngine Engine);

    private sealed class Last : IProgress<LoadProgress>
    {
        public LoadProgress Value { get; private set; }

        public void Report(LoadProgress value) => Value = value;
    }

    /// <summary>Turns one bit of what it brings.</summary>
    private sealed class BrokenFetcher(ISliceFetcher inner) : ISliceFetcher
    {
        public async Task FetchAsync(SliceRequest request, ITransferBlock into, CancellationToken cancel)
        {
            await inner.FetchAsync(request, into, cancel);
            if (request.Weights is not { Group: TensorGroup.Layers, Layers.First: 1 }) return;
            var one = new byte[1];
            into.Read(into.Bytes - 3, one);
            one[0] ^= 4;
            into.Write(into.Bytes - 3, one);
        }
    }
}
