using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json;
using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Seed.Commands;
using SpotServe.Tests.Cluster;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;
using static SpotServe.Actors.Replica.ReplicaControlProtocol;

namespace SpotServe.Tests.Planner;

/// <summary>The plan verb, fed with what a live planner tells of itself, prints what that planner did.</summary>
public sealed class OneDecisionTests : PlannerTestKit
{
    [Theory]
    [InlineData(null)]
    [InlineData(Objective.Latency)]
    [InlineData(Objective.Throughput)]
    public void Plan_of_the_live_planners_inputs_is_the_layout_the_pages_and_the_transfers_that_it_ordered(
        Objective? objective)
    {
        var planner = Planner(devices: 3, wanted: null, new PlannerOptions
        {
            Objective = objective is { } kind ? new LayoutObjective(kind) : null,
            Stated = new SourceRates(1e9, 1e6),
        });
        var nodes = Join(planner, "a:1#1", "b:1#1", "c:1#1");
        Tick(planner);
        var first = Published(planner, PlannerPhase.PreCopying).Layout!;
        ScriptedNode[] used = [.. nodes.Where(node => first.Placement.Contains(node.Device))];
        var old = Prepare(planner, used);
        var replicas = Connect(planner, used, old);
        Published(planner, PlannerPhase.Serving);
        foreach (var node in used) node.Weights = WeightsOf(node);
        var leaves = used[^1];

        nodes = [.. nodes, .. Join(planner, "d:1#1")];
        planner.Tell(new NodeNotice(leaves.Name, Clock.GetUtcNow() + TimeSpan.FromSeconds(30), "test"));
        Tick(planner, TimeSpan.FromSeconds(0.4));
        for (var i = 0; i < replicas.Length; i++) AnswerCache(replicas[i], planner, old, i);
        var layout = Published(planner, PlannerPhase.PreCopying).Layout!;
        var orders = nodes.Where(node => layout.Placement.Contains(node.Device)).Select(node =>
            node.Commands.FishForMessage<PreparePosition>(
                prepare => prepare.Epoch == old.Next, cancellationToken: Cancel))
            .ToList();
        planner.Tell(new GetPlanningInputs(), TestActor);
        var told = ExpectMsg<PlanningInputsTold>(cancellationToken: Cancel).Json;
        using var plan = JsonDocument.Parse(Plan(told));

        Assert.Equal(old.Next.Value, PlanningInputsJson.Read(told).DecidedEpoch);
        Assert.Equal(
            layout.Positions.Select(position => $"{layout.DeviceAt(position)} {layout.LayersOf(position)}"),
            plan.RootElement.GetProperty("mapping").EnumerateArray().Select(position =>
                $"{position.GetProperty("device").GetString()} "
                + $"[{position.GetProperty("firstLayer").GetInt32()},{position.GetProperty("endLayer").GetInt32()})"));
        Assert.All(orders, order => Assert.Equal(
            order.Order.Assignment.PageCount,
            plan.RootElement.GetProperty("layout").GetProperty("pages")[order.Order.Assignment.Position.Replica]
                .GetInt32()));
        var ordered = orders.SelectMany(order => order.Order.Weights.Select(
            weights => $"{weights.From} -> {order.Device}: {weights.Slice},")).Order().ToList();
        Assert.NotEmpty(ordered);
        var planned = plan.RootElement.GetProperty("migration").GetProperty("steps").EnumerateArray()
            .Select(step => step.GetProperty("text").GetString()!)
            .Where(step => step.Contains("->", StringComparison.Ordinal)
                && !step.Contains("KV", StringComparison.Ordinal)
                && !step.StartsWith("local", StringComparison.Ordinal))
            .Select(step => step[..(step.LastIndexOf(',') + 1)])
            .Order().ToList();
        Assert.Equal(ordered, planned);
    }

    [Fact]
    public void Inputs_survive_their_json_to_the_last_bit()
    {
        var planner = Planner(devices: 2, new LayoutDegrees(1, 2, 1, 8), new PlannerOptions
        {
            Objective = new LayoutObjective(Objective.Slo) { SloTarget = TimeSpan.FromSeconds(1.0 / 3) },
        });
        var nodes = Join(planner, "a:1#1", "b:1#1");
        nodes[0].Rates = new SourceRates(1e9 / 3, null);
        Register(planner, nodes[0]);
        Serve(planner, nodes);

        planner.Tell(new GetPlanningInputs(), TestActor);
        var told = ExpectMsg<PlanningInputsTold>(cancellationToken: Cancel).Json;

        Assert.Equal(told, PlanningInputsJson.Write(PlanningInputsJson.Read(told)));
        Assert.Equal(1e9 / 3, PlanningInputsJson.Read(told).Present!.LinksOf["a:1#1"].InterNode);
    }

    private static ImmutableArray<WeightSlice> WeightsOf(ScriptedNode node) =>
        [.. new SliceGeometry(TestModels.Small).Need(node.Positions[^1].Assignment)];

    private static void AnswerCache(TestProbe replica, IActorRef planner, Epoch epoch, int index)
    {
        replica.FishForMessage<GetReplicaCache>(_ => true, cancellationToken: Cancel);
        var report = new ReplicaCacheReport(
            epoch, index, [new CachedRequest(new RequestId($"r{index}"), Tokens: 100, Decoded: 40)]);
        planner.Tell(report, replica);
    }

    private static string Plan(string told)
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, told);
            using var output = new StringWriter();
            using var error = new StringWriter();
            var root = new RootCommand { PlanCommand.Create() };
            root.Parse(["plan", "--input", file, "--json"])
                .Invoke(new InvocationConfiguration { Output = output, Error = error });
            Assert.Equal("", error.ToString());
            return output.ToString();
        }
        finally
        {
            File.Delete(file);
        }
    }
}
