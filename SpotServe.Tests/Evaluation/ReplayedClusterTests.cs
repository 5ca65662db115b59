using System.Collections.Immutable;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Simulation;
using SpotServe.Tests.Simulation;
using Xunit;

namespace SpotServe.Tests.Evaluation;

/// <summary>The simulator decides what the live planner decided, for the same events.</summary>
public sealed class ReplayedClusterTests
{
    private static readonly ModelSpec Model = FakeModel.Spec(
        layers: 5, heads: 4, kvHeads: 2, hidden: 8, vocabulary: 48, contextMax: 128);

    /// <summary>Four node processes of one machine, one of which is killed or given notice each minute, recorded by
    /// --record. In the second recording the machine was so loaded that the nodes came later than a planner that had
    /// begun with the recording would have waited for them.</summary>
    /// <param name="alike">Layouts from the first on that lie on the same devices, position for position: later ones
    /// depend on where KV pages were at the moment of the decision.</param>
    [Theory]
    [InlineData("four-nodes.jsonl", 8)]
    [InlineData("four-nodes-late.jsonl", 14)]
    public void A_recorded_cluster_of_processes_is_predicted(string file, int alike)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "Evaluation", "Recordings", file);

        var outcome = RecordedReplay.Run(path, Recording.Read(path, File.ReadAllText(path)));

        Assert.Equal(
            outcome.Recorded.Changes.Select(ReplayOutcome.Kind), outcome.Simulated.Changes.Select(ReplayOutcome.Kind));
        Assert.True(outcome.HasSameShapes, outcome.FirstDifference);
        Assert.InRange(outcome.Simulated.Completed.Length / (double)outcome.Recorded.Completed.Length, 0.9, 1.1);
        Assert.InRange(outcome.Simulated.Latency.Average / outcome.Recorded.Latency.Average, 0.85, 1.15);
        foreach (var (live, played) in outcome.Recorded.Layouts.Zip(outcome.Simulated.Layouts).Take(alike))
            Assert.True(live.IsSameAs(played), $"{live} and {played}");
    }

    /// <summary>Real actors on virtual time, recorded now: whatever the planner has become, the simulator is
    /// it.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Layouts_of_a_cluster_of_real_actors_are_the_simulators(int seed)
    {
        var recording = Record(seed, clients: 12);

        var outcome = RecordedReplay.Run("world", recording);

        Assert.True(outcome.Recorded.Layouts.Length >= 5, $"{outcome.Recorded.Layouts.Length} layouts");
        Assert.Equal(
            outcome.Recorded.Changes.Select(ReplayOutcome.Kind), outcome.Simulated.Changes.Select(ReplayOutcome.Kind));
        Assert.True(outcome.HasSameShapes, outcome.FirstDifference);
    }

    /// <summary>With no pages that would have a say, each device has the very position that it had live.</summary>
    [Fact]
    public void Placements_of_a_cluster_without_requests_are_the_simulators_device_for_device()
    {
        var outcome = RecordedReplay.Run("world", Record(seed: 4, clients: 1));

        Assert.True(outcome.Recorded.Layouts.Length >= 5, $"{outcome.Recorded.Layouts.Length} layouts");
        Assert.True(outcome.HasSameLayouts, outcome.FirstDifference);
    }

    private static Recording Record(int seed, int clients)
    {
        Recording? recording = null;
        string? broken = null;
        var thread = new Thread(() =>
        {
            var world = new SimWorld(seed);
            world.Enter(() => recording = Record(world, clients));
            broken = world.Broken;
        });
        thread.Start();
        thread.Join();
        Assert.Null(broken);
        return recording!;
    }

    private static Recording Record(SimWorld world, int clients)
    {
        var draw = Draw();
        var entries = ImmutableArray.CreateBuilder<RecordedEntry>();
        var begun = new RecordedEntry.Begun(
            0, RecordedEntry.Begun.CurrentForm, world.Clock.GetUtcNow(), draw.Planner);
        var system = SimAkka.Create(isVerbose: false);
        world.Fragments.InstallIn(system);
        var cluster = new SimCluster(world, system, draw);
        var views = new RecordedView();
        cluster.Controls[0].Board.Changed += view =>
            entries.AddRange(views.New(view, world.Now.TotalSeconds, world.Clock.GetUtcNow()));
        for (var i = 0; i < clients; i++) AddClient(cluster, entries, i, at: 4 + (4 * i));
        world.At(TimeSpan.FromSeconds(10), () => cluster.Die(Serving(cluster), closesSockets: true));
        world.At(TimeSpan.FromSeconds(20), () => cluster.AddNode());
        world.At(TimeSpan.FromSeconds(30), () => Serving(cluster).Notice(TimeSpan.FromSeconds(15)));
        world.At(TimeSpan.FromSeconds(45), () => cluster.AddNode());
        world.RunUntil(() => false, TimeSpan.FromSeconds(65));
        if (cluster.Clients.Exists(client => !client.IsDone)) world.Break("a request is not done");
        return new Recording(begun, [.. entries.OrderBy(entry => entry.Seconds)], []);
    }

    private static SimNode Serving(SimCluster cluster) => cluster.Staying
        .OrderBy(node => node.Name, StringComparer.Ordinal)
        .First(node => node.Runtimes[0].Engines.Length > 0);

    private static void AddClient(
        SimCluster cluster, ImmutableArray<RecordedEntry>.Builder entries, int number, double at)
    {
        const int OutputTokens = 40;
        var world = cluster.World;
        var prompt = Enumerable.Range(0, 20).Select(i => (number + i) % Model.VocabularySize).ToImmutableArray();
        var parameters = new GenerationParameters(OutputTokens, SamplingParameters.Greedy, []);
        var client = new SimClient(
            cluster, $"client{number}", prompt, parameters, SoloRun.Run(Model, prompt, parameters).Tokens,
            leavesAfter: -1);
        cluster.Clients.Add(client);
        world.At(TimeSpan.FromSeconds(at), () =>
        {
            entries.Add(new RecordedEntry.Arrived(at, number, prompt.Length, OutputTokens));
            client.Connect();
            Look(first: null);
        });

        void Look(double? first)
        {
            var now = world.Now.TotalSeconds;
            if (client.TokenCount > 0) first ??= now;
            if (client.IsDone) entries.Add(new RecordedEntry.Ended(now, number, first, OutputTokens, "Length"));
            else world.After(TimeSpan.FromMilliseconds(5), () => Look(first));
        }
    }

    private static ClusterDraw Draw() => new(
        SimTheme.AnyFaults,
        Controls: 1,
        Nodes: 4,
        DevicesPerNode: 1,
        Clients: 0,
        ClientsUntil: TimeSpan.Zero,
        Model,
        MemoryBytes: 600_000,
        BytesPerSecond: 1e7,
        DiskBytesPerSecond: 1e9,
        Slowness: 5,
        new PlannerOptions
        {
            DevicesExpected = 4,
            SequencesMax = 6,
            StepTokensMax = 32,
            WorkingBytes = 4_000,
            Limits = new() { GatherMax = TimeSpan.FromSeconds(5) },
        });
}
