using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// A prompt of 120,000 tokens, three bytes each, through a whole simulated cluster whose messages are written by the
/// real serializer: each that crosses processes must fit a frame.
/// </summary>
public sealed class LongPromptTests
{
    private const int PromptTokens = 120_000;
    private const int CompletionTokens = 300;
    private const int Vocabulary = 40_000;

    private static readonly ModelSpec Model = FakeModel.Spec(
        layers: 3, heads: 2, kvHeads: 1, hidden: 4, Vocabulary, contextMax: 131_072);

    [Fact]
    public void Prompt_of_120_000_tokens_is_continued_token_for_token_after_a_kill() => Run(cluster =>
    {
        var serving = cluster.Nodes.First(node => node.Runtimes[0].Engines.Length > 0);
        cluster.Die(serving, closesSockets: true);
    });

    [Fact]
    public void Prompt_of_120_000_tokens_goes_over_to_another_layout_without_being_computed_again()
    {
        var timeline = Run(cluster => cluster.Planner!.Tell(
            new ClusterProtocol.ChangeLayout(new LayoutDegrees(1, 3, 1, 4)), ActorRefs.NoSender));

        var change = timeline[^1];
        Assert.Equal(new LayoutDegrees(1, 3, 1, 4), change.To);
        Assert.Equal(ReconfigurationRecord.Served, change.Outcome);
        Assert.Equal((1, 0, 0), (change.Sequences, change.NotHandedOver, change.TokensRecomputed));
        Assert.True(change.PageBytes > PromptTokens, $"{change.PageBytes} bytes of pages went over");
    }

    /// <param name="disturb">Done once some tokens have been shown.</param>
    private static ImmutableArray<ReconfigurationRecord> Run(Action<SimCluster> disturb)
    {
        ImmutableArray<ReconfigurationRecord> timeline = [];
        string? broken = null;
        var thread = new Thread(() =>
        {
            var world = new SimWorld(seed: 1);
            world.Enter(() => timeline = Run(world, disturb));
            broken = world.Broken;
        });
        thread.Start();
        thread.Join();
        Assert.Null(broken);
        return timeline;
    }

    private static ImmutableArray<ReconfigurationRecord> Run(SimWorld world, Action<SimCluster> disturb)
    {
        var system = SimAkka.Create(isVerbose: false);
        world.Fragments.InstallIn(system);
        world.Fragments.WriteForReal(system);
        var cluster = new SimCluster(world, system, ClusterDraw.ThreeNodes(Model, controls: 3, stepTokensMax: 2_048));
        var random = new Random(1);
        var prompt = Enumerable.Range(0, PromptTokens).Select(_ => random.Next(16_384, Vocabulary)).ToImmutableArray();
        var sampling = SamplingParameters.Greedy;
        var client = new SimClient(
            cluster, "client", prompt, new GenerationParameters(CompletionTokens, sampling, []),
            SoloRun.Generate(Model, prompt, CompletionTokens, sampling), leavesAfter: -1);
        cluster.Clients.Add(client);
        world.At(TimeSpan.FromSeconds(2), client.Connect);

        Expect(world, () => client.TokenCount >= 5, "the first tokens");
        disturb(cluster);
        Expect(world, () => client.IsDone, "the end");
        ImmutableArray<ReconfigurationRecord> timeline = [];
        Expect(
            world,
            () => timeline is [.., { Outcome: not ReconfigurationRecord.UnderWay }],
            "the end of the change",
            () => Ask(cluster, answer => timeline = answer.Reconfigurations));
        return timeline;
    }

    /// <param name="everySecond">Done while the condition does not hold.</param>
    private static void Expect(SimWorld world, Func<bool> condition, string what, Action? everySecond = null)
    {
        for (var seconds = 0; seconds < 120 && world.Broken is null; seconds++)
        {
            everySecond?.Invoke();
            if (world.RunUntil(condition, world.Now + TimeSpan.FromSeconds(1))) return;
        }

        world.Break($"{what} did not come");
    }

    /// <summary>As the HTTP edge of a control node asks the planner.</summary>
    private static void Ask(SimCluster cluster, Action<ClusterProtocol.Timeline> onAnswer)
    {
        var control = cluster.Controls.First(control => control != cluster.PlannerHome);
        var planner = cluster.Planner!;
        control.Process.Spawn(
            Props.Create(() => new Asker(planner, onAnswer)), $"asker-{cluster.World.Now.Ticks}");
    }

    private sealed class Asker : ReceiveActor
    {
        private readonly IActorRef _planner;

        public Asker(IActorRef planner, Action<ClusterProtocol.Timeline> onAnswer)
        {
            _planner = planner;
            Receive(onAnswer);
        }

        protected override void PreStart() => _planner.Tell(new ClusterProtocol.GetTimeline());
    }
}
