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
using SpotServe.Tests.Planning;
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
    public void Plan_of_the_live_planners_inputs_is_what_it_decided_and_what_its_nodes_are_told_to_move(
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
        var steps = plan.RootElement.GetProperty("migration").GetProperty("steps").EnumerateArray().ToList();
        Assert.Equal(
            PlanningInputsJson.Read(told).Steps,
            steps.Select(step => new PlannedStep(
                step.GetProperty("text").GetString()!,
                step.GetProperty("beginSeconds").GetDouble(),
                step.GetProperty("endSeconds").GetDouble())));
        var ordered = orders.SelectMany(order => order.Order.Weights.Select(
            weights => $"{weights.From} -> {order.Device}: {weights.Slice},")).Order().ToList();
        Assert.NotEmpty(ordered);
        Assert.Equal(
            ordered,
            TextsOf(steps, "copyWeights").Where(step => !step.StartsWith("local", StringComparison.Ordinal))
                .Select(step => step[..(step.LastIndexOf(',') + 1)]).Order());
        foreach (var order in orders) planner.Tell(new DevicePrepared(old.Next, order.Device, 0.1));
        var connects = nodes.Where(node => layout.Placement.Contains(node.Device)).Select(node =>
            node.Commands.FishForMessage<ConnectPosition>(
                connect => connect.Epoch == old.Next, cancellationToken: Cancel));
        Assert.Equal(
            connects.SelectMany(connect => PagesTo(connect, layout.PositionOf(connect.Device))).Order(),
            TextsOf(steps, "copyCache").Select(WithoutRequests).Distinct().Order());
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

    [Fact]
    public void Corrections_survive_the_inputs_json()
    {
        var inputs = new PlanningInputs(
            PlanningScenarios.Small.Model, [], new Workload(1, 64, 32), new LinkRates(20e9, 5e9, 1e9, 1e9, 20e-6))
        {
            Corrections = CostCorrections.None
                .With(new CostCorrection(2, "kind", 1.0 / 3, 1.5) { BatchSize = 8, Seconds = 0.7, Demand = 2 })
                .With(new CostCorrection(1, "kind", 2, 2)),
        };

        var told = PlanningInputsJson.Write(new PlanningRecord(null, null, inputs));

        Assert.Equal(
            inputs.Corrections.ByShape.ToArray(), PlanningInputsJson.Read(told).Present!.Corrections.ByShape.ToArray());
    }

    private static IEnumerable<string> TextsOf(IEnumerable<JsonElement> steps, string kind) => steps
        .Where(step => step.GetProperty("kind").GetString() == kind)
        .Select(step => step.GetProperty("text").GetString()!);

    /// <summary>E.g. "a/0 -> b/0: KV of replica 0, layers [0,2), kv heads 0..2": full pages and last ones take the
    /// same way.</summary>
    private static string WithoutRequests(string step) =>
        step[..step.IndexOf(" of ", step.IndexOf("heads", StringComparison.Ordinal), StringComparison.Ordinal)]
            .Replace(", last pages", "", StringComparison.Ordinal);

    /// <summary>What the position's device copies of the replicas that hand over to it, as a plan's steps have
    /// it.</summary>
    private static IEnumerable<string> PagesTo(ConnectPosition connect, Position position) =>
        from old in connect.Origin?.Replicas ?? []
        from move in PageMoves.Of(TestModels.Small, old, old.Replica, connect.Replica, position, inPlace: default)
        where move.From != connect.Device
        let heads = move.KvHeads
        let slice = new CacheSlice(old.Replica, move.Layers, (int)heads.First, (int)heads.End)
        select $"{move.From} -> {connect.Device}: {slice}";

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
