using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Tracing;
using Xunit;

namespace SpotServe.Tests.Simulation;

/// <summary>A request's trace in a whole simulated cluster of real actors.</summary>
public sealed class TraceTests
{
    private const int CompletionTokens = 200;

    private static readonly ModelSpec Model = FakeModel.Spec(layers: 4, contextMax: 512);

    [Fact]
    public void Trace_goes_on_at_the_replica_that_goes_on_after_a_kill()
    {
        var spans = Run(cluster =>
        {
            var serving = cluster.Nodes.First(node => node.Runtimes[0].Engines.Length > 0);
            cluster.Die(serving, closesSockets: true);
        });

        var entity = Assert.Single(spans, span => span.OperationName == "entity");
        Assert.Equal($"{CompletionTokens}", $"{entity.GetTagItem("spotserve.tokens")}");
        // A replica that was killed has no time to say that it ends; what it had shown, the next one came with.
        var last = spans.Last(span => span.OperationName == "replica");
        Assert.Equal("submitted", last.GetTagItem("spotserve.came"));
        Assert.True((int)last.GetTagItem("spotserve.tokens_before")! >= 5);
        Assert.Equal(ActivityStatusCode.Unset, last.Status);
    }

    [Fact]
    public void Trace_has_the_replica_before_and_the_one_after_a_change_of_the_layout()
    {
        var spans = Run(cluster => cluster.Planner!.Tell(
            new Actors.Cluster.ClusterProtocol.ChangeLayout(new LayoutDegrees(1, 3, 1, 4)),
            Akka.Actor.ActorRefs.NoSender));

        var replicas = spans.Where(span => span.OperationName == "replica").ToList();
        Assert.Equal(["submitted", "handed over"], replicas.Select(span => span.GetTagItem("spotserve.came")));
        Assert.Equal(["handed over", null], replicas.Select(span => span.GetTagItem("spotserve.left")));
        var epochs = replicas.Select(span => (long)span.GetTagItem("spotserve.epoch")!).ToList();
        Assert.True(epochs[0] < epochs[1]);
        Assert.Single(spans, span => span.OperationName == "entity");
    }

    /// <param name="disturb">Done once some tokens have been shown.</param>
    /// <returns>The spans of the one request, in the order in which they ended; all are of its trace.</returns>
    private static List<Activity> Run(Action<SimCluster> disturb)
    {
        var parent = new ActivityContext(
            ActivityTraceId.CreateRandom(), ActivitySpanId.CreateRandom(), ActivityTraceFlags.Recorded);
        var spans = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == Traces.SourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> options) =>
                options.Parent.TraceId == parent.TraceId
                    ? ActivitySamplingResult.AllDataAndRecorded
                    : ActivitySamplingResult.None,
            ActivityStopped = spans.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        string? broken = null;
        var thread = new Thread(() =>
        {
            var world = new SimWorld(seed: 1);
            world.Enter(() => Run(world, disturb, $"00-{parent.TraceId}-{parent.SpanId}-01"));
            broken = world.Broken;
        });
        thread.Start();
        thread.Join();
        Assert.Null(broken);
        Assert.All(spans, span => Assert.Equal(parent.SpanId, span.ParentSpanId));
        return [.. spans];
    }

    private static void Run(SimWorld world, Action<SimCluster> disturb, string parent)
    {
        var system = SimAkka.Create(isVerbose: false);
        world.Fragments.InstallIn(system);
        var cluster = new SimCluster(world, system, ClusterDraw.ThreeNodes(Model, controls: 1, stepTokensMax: 64));
        ImmutableArray<int> prompt = [.. Enumerable.Range(0, 40).Select(i => i * 3 % Model.VocabularySize)];
        var sampling = SamplingParameters.Greedy;
        var client = new SimClient(
            cluster, "client", prompt, new GenerationParameters(CompletionTokens, sampling, []),
            SoloRun.Generate(Model, prompt, CompletionTokens, sampling), leavesAfter: -1)
        {
            TraceParent = parent,
        };
        cluster.Clients.Add(client);
        world.At(TimeSpan.FromSeconds(2), client.Connect);

        Expect(world, () => client.TokenCount >= 5, "the first tokens");
        disturb(cluster);
        Expect(world, () => client.IsDone, "the end");
    }

    private static void Expect(SimWorld world, Func<bool> condition, string what)
    {
        if (!world.RunUntil(condition, world.Now + TimeSpan.FromSeconds(120))) world.Break($"{what} did not come");
    }
}
