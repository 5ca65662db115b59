using System.Collections.Concurrent;
using System.Collections.Immutable;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

/// <summary>How devices are spread over nodes.</summary>
public enum Spread
{
    /// <summary>Every device on a node of its own: all links are sockets.</summary>
    NodePerDevice,

    /// <summary>The ranks of a stage share a node.</summary>
    NodePerStage,

    /// <summary>No sockets at all.</summary>
    OneNode,

    /// <summary>Two devices a node, whatever they are: some ranks share one and some do not.</summary>
    TwoPerNode,
}

/// <summary>One replica of fake engines over a real data plane on loopback.</summary>
internal sealed class FakeReplica : IAsyncDisposable
{
    public static readonly ModelSpec Model = FakeModel.Spec(layers: 5, contextMax: 256);
    public static readonly TimeSpan Patience = PatientTestKit.Patience;

    private readonly List<DataPlaneNode> _nodes = [];
    private readonly BlockingCollection<StepResult> _results = [];
    private readonly TaskCompletionSource<Exception> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Dictionary<Position, StageRunner> Runners { get; } = [];

    public Dictionary<Position, StageLinks> Links { get; } = [];

    public Dictionary<Position, FakeStageEngine> Engines { get; } = [];

    /// <summary>What each runner reported.</summary>
    public ConcurrentDictionary<Position, TaskCompletionSource<Exception>> Failures { get; } = new();

    public StepPipeline Pipeline { get; private set; } = null!;

    /// <summary>What the pipeline reported.</summary>
    public Task<Exception> Lost => _lost.Task;

    public static async Task<FakeReplica> StartAsync(
        int stages,
        int ranks,
        Spread spread,
        Func<StageAssignment, FakeStageEngine>? makeEngine = null,
        int pageCount = 64,
        ClusterIdentity? identity = null)
    {
        var replica = new FakeReplica();
        var (layout, epoch) = (LayoutOf(stages, ranks, spread), new Epoch(7));
        var names = layout.Placement.Select(device => device.Node).Distinct();
        var nodes = names.ToDictionary(name => name, _ => MakeNode(identity: identity));
        replica._nodes.AddRange(nodes.Values);
        var endpoints = layout.Placement.ToDictionary(device => device, device => nodes[device.Node].Endpoint);

        var connecting = layout.Positions.ToDictionary(position => position, position =>
            nodes[layout.DeviceAt(position).Node].ConnectAsync(
                layout, epoch, position, endpoints, Patience, TestContext.Current.CancellationToken));
        foreach (var (position, links) in connecting) replica.Links[position] = await links;

        foreach (var position in layout.Positions)
        {
            var assignment = new StageAssignment(
                epoch,
                position,
                layout.LayersOf(position),
                stages,
                ranks,
                pageCount,
                StepTokensMax: 32,
                SequencesMax: 8);
            var engine = makeEngine?.Invoke(assignment) ?? new FakeStageEngine(assignment, Model);
            var failure = new TaskCompletionSource<Exception>(TaskCreationOptions.RunContinuationsAsynchronously);
            replica.Engines[position] = engine;
            replica.Failures[position] = failure;
            replica.Runners[position] = new StageRunner(
                engine, replica.Links[position], StepPlanLimits.Of(assignment, Model), failure.SetResult);
        }

        var first = new Position(0, 0, 0);
        replica.Pipeline = new StepPipeline(
            replica.Links[first].Leader!, StepPlanLimits.Of(replica.Engines[first].Assignment, Model));
        replica.Pipeline.Start(replica._results.Add, replica._lost.SetResult);
        foreach (var runner in replica.Runners.Values) runner.Start();
        return replica;
    }

    public static Layout LayoutOf(int stages, int ranks, Spread spread)
    {
        var devices = Enumerable.Range(0, stages * ranks).Select(index =>
        {
            var node = spread switch
            {
                Spread.NodePerDevice => index,
                Spread.NodePerStage => index / ranks,
                Spread.OneNode => 0,
                Spread.TwoPerNode => index / 2,
                _ => throw new ArgumentOutOfRangeException(nameof(spread)),
            };
            return new DeviceId($"node{node}", index);
        });
        return new Layout(
            new LayoutDegrees(1, stages, ranks, 8), Layout.EvenStages(Model.LayerCount, 1, stages), [.. devices]);
    }

    public static DataPlaneNode MakeNode(string secret = "a test's secret", ClusterIdentity? identity = null) => new(
        ListenerTests.Options() with { Secret = new ClusterSecret(secret), Identity = identity },
        TimeProvider.System);

    /// <summary>The next result, in bounded time.</summary>
    public StepResult Take()
    {
        Assert.True(_results.TryTake(out var result, Patience), "waited for the result of a step");
        return result;
    }

    /// <summary>Generates for several prompts at once, each in its own pages, prompts in chunks, with as many steps
    /// in flight as there are groups of sequences.</summary>
    public ImmutableArray<ImmutableArray<int>> Generate(
        IReadOnlyList<ImmutableArray<int>> prompts, int count, SamplingParameters sampling, int chunkMax = 7)
    {
        var scheduler = new TinyScheduler(prompts, count, sampling, chunkMax, Pipeline.StageCount);
        var plan = new StepPlan();
        var inFlight = 0;
        for (long step = 1; ;)
        {
            while (inFlight < Pipeline.StageCount && scheduler.TryFill(plan, step))
            {
                Pipeline.Submit(plan);
                step++;
                inFlight++;
            }

            if (inFlight == 0) return scheduler.Generated;
            scheduler.OnResult(Take());
            inFlight--;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Pipeline?.Dispose();
        foreach (var runner in Runners.Values) runner.Dispose();
        foreach (var runner in Runners.Values) await runner.Completion.WaitAsync(Patience);
        foreach (var node in _nodes) node.Dispose();
        _results.Dispose();
    }
}
