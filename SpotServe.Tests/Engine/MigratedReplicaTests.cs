using System.Collections.Immutable;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;
using SpotServe.Node.Engine;
using SpotServe.Node.Engine.Bench;
using SpotServe.Tests.Execution;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>Replicas whose weights and pages came from other devices' memory.</summary>
[Collection("Engine")]
public sealed class MigratedReplicaTests
{
    private static readonly ReplicaBounds Bounds = new(PageCount: 24, StepTokensMax: 64, SequencesMax: 4);
    private static readonly Progress<LoadProgress> NoProgress = new();

    public static TheoryData<string, ElementType> ModelsAndTypes()
    {
        var data = new TheoryData<string, ElementType>();
        foreach (var name in Directory.GetDirectories(GoldenModel.Source("")).Select(Path.GetFileName))
        {
            data.Add(name!, ElementType.Float32);
            data.Add(name!, ElementType.BFloat16);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(ModelsAndTypes))]
    public void Weights_recut_from_1_to_2_to_4_ranks_and_back_equal_those_of_the_folder(string name, ElementType type)
    {
        using var folder = Runtime(name, type);
        using var first = Replica(folder, 1, stages: 1, ranks: 1);
        var devices = new List<TorchDeviceRuntime>();
        IReadOnlyList<TorchDeviceRuntime> before = [folder];
        foreach (var (stages, ranks) in new[] { (1, 2), (1, 4), (2, 2), (1, 1) })
        {
            var peers = new PeerRuntimes();
            foreach (var device in before) peers.Add(device);
            before = [.. Enumerable.Range(0, stages * ranks).Select(_ => Runtime(name, type))];
            devices.AddRange(before);
            foreach (var (device, position) in before.Zip(Positions(stages, ranks)))
            {
                var assignment = Assignment(device.Model, 1, position, stages, ranks);
                var loaded = new LastProgress();
                using var engine = Prepare(device, peers.Order(assignment), peers, loaded);

                Assert.Equal(loaded.Value.TotalBytes, loaded.Value.LoadedBytes);
                Assert.NotEmpty(peers.Requests);
                if (!IsTied(name)) Assert.Equal(loaded.Value.TotalBytes, loaded.Value.PeerBytes);
                Assert.Equal(device.Weights, new SliceGeometry(device.Model).Need(assignment));
                AssertSameAsFolder(name, type, device, assignment);
            }
        }

        foreach (var device in devices) device.Dispose();
    }

    [Theory]
    [MemberData(nameof(ModelsAndTypes))]
    public void Weights_recut_within_a_device_equal_those_of_the_folder(string name, ElementType type)
    {
        using var runtime = Runtime(name, type);
        var epoch = 0;
        foreach (var (stages, ranks) in new[] { (1, 1), (1, 2), (1, 4), (2, 2), (1, 1) })
        {
            foreach (var position in Positions(stages, ranks))
            {
                var assignment = Assignment(runtime.Model, ++epoch, position, stages, ranks);
                var loaded = new LastProgress();
                using var engine = Prepare(runtime, PreparationOrder.FromFolder(assignment), null, loaded);

                Assert.Equal(loaded.Value.TotalBytes, loaded.Value.LoadedBytes);
                // Everything was here after the first epoch; where the file can be mapped, that is as near.
                if (epoch > 1 && type == ElementType.BFloat16)
                    Assert.Equal(loaded.Value.TotalBytes, loaded.Value.ReusedBytes);
                AssertSameAsFolder(name, type, runtime, assignment);
            }
        }
    }

    [Theory]
    [InlineData("llama-gqa", 1, 2)]
    [InlineData("llama-gqa", 4, 1)]
    [InlineData("llama3-rope", 1, 8)]
    [InlineData("opt", 2, 2)]
    [InlineData("qwen2", 1, 4)]
    [InlineData("qwen3", 2, 2)]
    [InlineData("mistral-sliding", 1, 2)]
    public void Golden_model_gives_the_reference_tokens_with_weights_from_peers(string name, int stages, int ranks)
    {
        using var source = Runtime(name);
        using var held = Replica(source, 1, stages: 2, ranks: 2);
        using var runtime = Runtime(name);
        var peers = new PeerRuntimes();
        peers.Add(source);
        using var replica = Replica(runtime, 2, stages, ranks, peers);

        foreach (var expected in GoldenValues.Load(GoldenModel.Source(name)).Cases)
        {
            var sequence = new TestSequence(expected.Prompt, SamplingParameters.Greedy, Enumerable.Range(2, 20));
            Generate(replica, sequence, expected.Prompt.Length + expected.SureTokens.Length);
            Assert.Equal(
                expected.SureTokens, sequence.Tokens.Skip(expected.Prompt.Length).Take(expected.SureTokens.Length));
        }
    }

    [Theory]
    [InlineData("llama-gqa", 1, 1, 1, 2)]
    [InlineData("llama-gqa", 1, 2, 2, 1)]
    [InlineData("llama-gqa", 2, 2, 1, 8)]
    [InlineData("opt", 1, 4, 2, 2)]
    public void Sequence_goes_on_when_its_pages_were_moved_to_another_layout(
        string name, int oldStages, int oldRanks, int stages, int ranks)
    {
        ImmutableArray<int> pages = [7, 8, 9, 3, 1];
        var golden = GoldenValues.Load(GoldenModel.Source(name)).Cases[0];
        var length = golden.Prompt.Length + golden.SureTokens.Length;
        using var source = Runtime(name);
        using var old = Replica(source, 1, oldStages, oldRanks);
        var sequence = new TestSequence(golden.Prompt, SamplingParameters.Greedy, pages);
        Generate(old, sequence, golden.Prompt.Length + 3);

        // A device each, because ranks may hold the same heads.
        var targets = Positions(stages, ranks).ToDictionary(position => position, _ => Runtime(name));
        using var next = Replica(assignment => targets[assignment.Position], source.Model, 2, stages, ranks);
        foreach (var from in Positions(oldStages, oldRanks))
        {
            foreach (var to in Positions(stages, ranks))
            {
                PeerRuntimes.MovePages(
                    source, Assignment(source.Model, 1, from, oldStages, oldRanks),
                    targets[to], Assignment(source.Model, 2, to, stages, ranks), pages);
            }
        }

        Generate(next, sequence, length);
        Assert.Equal(golden.SureTokens, sequence.Tokens.Skip(golden.Prompt.Length).Take(golden.SureTokens.Length));
        foreach (var target in targets.Values) target.Dispose();
    }

    [Fact]
    public void Engine_of_the_next_epoch_uses_the_same_weights_and_pages_when_its_share_is_the_same()
    {
        var golden = GoldenValues.Load(GoldenModel.Source("llama-gqa")).Cases[0];
        using var runtime = Runtime("llama-gqa");
        var old = Replica(runtime, 1, stages: 1, ranks: 1);
        var sequence = new TestSequence(golden.Prompt, SamplingParameters.Greedy, Enumerable.Range(3, 20));
        Generate(old, sequence, golden.Prompt.Length + 3);
        var loaded = new LastProgress();

        // The new stages split the old one: every layer is there already.
        using var next = Replica(runtime, 2, stages: 2, ranks: 1, sharedPages: new Epoch(1), progress: loaded);
        var weights = Memories(old);
        Assert.All(next.Engines, engine => Assert.All(
            engine.Weights.Blocks.SelectMany(block => block.Memories), memory => Assert.Contains(memory, weights)));
        Assert.Equal(loaded.Value.TotalBytes, loaded.Value.ReusedBytes);
        old.Dispose();
        runtime.Trim();

        Generate(next, sequence, golden.Prompt.Length + golden.SureTokens.Length);
        Assert.Equal(golden.SureTokens, sequence.Tokens.Skip(golden.Prompt.Length).Take(golden.SureTokens.Length));
    }

    [Fact]
    public void Engine_goes_on_when_its_model_folder_is_deleted()
    {
        var golden = GoldenValues.Load(GoldenModel.Source("llama-gqa")).Cases[0];
        var folder = Path.Combine(TemporaryFolders.Create(), "copy");
        Directory.CreateDirectory(folder);
        foreach (var file in Directory.GetFiles(GoldenModel.Folder("llama-gqa")))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        using var runtime = new TorchDeviceRuntime(new TorchRuntimeOptions { ModelFolder = folder, Threads = 1 });
        using var replica = Replica(runtime, 1, stages: 1, ranks: 1);

        Directory.Delete(folder, recursive: true);

        using var next = Replica(runtime, 2, stages: 1, ranks: 2);
        foreach (var engines in new[] { replica, next })
        {
            var sequence = new TestSequence(golden.Prompt, SamplingParameters.Greedy, Enumerable.Range(3, 20));
            Generate(engines, sequence, golden.Prompt.Length + golden.SureTokens.Length);
            Assert.Equal(golden.SureTokens, sequence.Tokens.Skip(golden.Prompt.Length).Take(golden.SureTokens.Length));
        }
    }

    [Fact]
    public void Engine_outlives_its_runtime()
    {
        var golden = GoldenValues.Load(GoldenModel.Source("llama-gqa")).Cases[0];
        var runtime = Runtime("llama-gqa");
        using var replica = Replica(runtime, 1, stages: 1, ranks: 1);

        runtime.Dispose();

        var sequence = new TestSequence(golden.Prompt, SamplingParameters.Greedy, Enumerable.Range(3, 20));
        Generate(replica, sequence, golden.Prompt.Length + golden.SureTokens.Length);
        Assert.Equal(golden.SureTokens, sequence.Tokens.Skip(golden.Prompt.Length).Take(golden.SureTokens.Length));
    }

    [Fact]
    public void Tied_embedding_is_held_once_when_a_device_has_both_ends()
    {
        var name = Directory.GetDirectories(GoldenModel.Source(""))
            .Select(path => Path.GetFileName(path)!).First(IsTied);
        using var runtime = Runtime(name);
        using var replica = Replica(runtime, 1, stages: 1, ranks: 1);

        var memories = replica.Drawing.Weights.Blocks.SelectMany(block => block.Memories).ToArray();

        Assert.Single(memories.GroupBy(memory => memory), same => same.Count() == 2);
        Assert.Equal(2, runtime.Weights.Count(slice => slice.Group != TensorGroup.Layers));
    }

    private static bool IsTied(string name)
    {
        using var runtime = Runtime(name);
        return runtime.Config.TiedEmbeddings;
    }

    private static HashSet<object> Memories(InProcessReplica replica) =>
        [.. replica.Engines.SelectMany(engine => engine.Weights.Blocks).SelectMany(block => block.Memories)];

    private static void AssertSameAsFolder(
        string name, ElementType type, TorchDeviceRuntime device, StageAssignment assignment)
    {
        using var fresh = Runtime(name, type);
        using var engine = fresh.Load(assignment, null, CancellationToken.None);
        Assert.All(fresh.Weights, slice => Assert.Contains(device.Weights, held =>
            held with { Layers = slice.Layers } == slice && held.Layers.Intersect(slice.Layers) == slice.Layers));
        foreach (var slice in fresh.Weights)
        {
            for (var layer = slice.Layers.First; layer < slice.Layers.End; layer++)
            {
                var one = slice with { Layers = new LayerRange(layer, layer + 1) };
                Assert.Equal(
                    PeerRuntimes.Bytes(fresh.OpenWeights(one)), PeerRuntimes.Bytes(device.OpenWeights(one)));
            }
        }
    }

    private static void Generate(InProcessReplica replica, TestSequence sequence, int length)
    {
        var plan = new StepPlan();
        while (sequence.Tokens.Count < length)
        {
            plan.Clear(1);
            var draws = sequence.AddTo(plan, Bounds.StepTokensMax);
            var tokens = replica.Step(plan);
            if (draws) sequence.Tokens.Add(tokens[0]);
        }
    }

    private static TorchDeviceRuntime Runtime(string name, ElementType? type = null) => new(new TorchRuntimeOptions
    {
        ModelFolder = GoldenModel.Folder(name),
        Threads = 1,
        WeightType = type,
        MapWeights = type != ElementType.BFloat16,
        Device = Environment.GetEnvironmentVariable("SPOTSERVE_TEST_DEVICE") ?? "cpu",
    });

    /// <summary>All positions of a layout on one device.</summary>
    private static InProcessReplica Replica(
        TorchDeviceRuntime runtime, int epoch, int stages, int ranks, PeerRuntimes? peers = null,
        Epoch? sharedPages = null, IProgress<LoadProgress>? progress = null) =>
        Replica(_ => runtime, runtime.Model, epoch, stages, ranks, peers, sharedPages, progress);

    private static InProcessReplica Replica(
        Func<StageAssignment, TorchDeviceRuntime> runtimeOf, ModelSpec model, int epoch, int stages, int ranks,
        PeerRuntimes? peers = null, Epoch? sharedPages = null, IProgress<LoadProgress>? progress = null)
    {
        return new InProcessReplica(Make, Layout.EvenStages(model.LayerCount, 1, stages), ranks, Bounds);

        TorchStageEngine Make(StageAssignment assignment)
        {
            assignment = assignment with { Epoch = new Epoch(epoch) };
            var order = peers?.Order(assignment, sharedPages) ?? new PreparationOrder(assignment, [], sharedPages);
            // The test keeps the older engine for comparison, and there is room for both.
            order = order with { Predecessor = new Epoch(epoch - 1) };
            return Prepare(runtimeOf(assignment), order, peers, progress ?? NoProgress);
        }
    }

    private static TorchStageEngine Prepare(
        TorchDeviceRuntime runtime, PreparationOrder order, ISliceFetcher? fetcher, IProgress<LoadProgress> progress) =>
        (TorchStageEngine)runtime.PrepareAsync(
            order, fetcher ?? NoPeers.Instance, progress, TestContext.Current.CancellationToken)
            .GetAwaiter().GetResult();

    private static IEnumerable<Position> Positions(int stages, int ranks) =>
        Enumerable.Range(0, stages * ranks).Select(i => new Position(0, i / ranks, i % ranks));

    private static StageAssignment Assignment(ModelSpec model, int epoch, Position position, int stages, int ranks) =>
        new(
            new Epoch(epoch), position, Layout.EvenStages(model.LayerCount, 1, stages)[position.Stage], stages, ranks,
            Bounds.PageCount, Bounds.StepTokensMax, Bounds.SequencesMax);

    private sealed class LastProgress : IProgress<LoadProgress>
    {
        public LoadProgress Value { get; private set; }

        public void Report(LoadProgress value) => Value = value;
    }
}
