using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Metrics;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using SpotServe.Seed.Dashboard.Live;
using SpotServe.Seed.Fleet;
using SpotServe.Seed.Narration;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Dashboard;

/// <summary>What the dashboard shows of what the planner has said.</summary>
public sealed class SnapshotTests
{
    private static readonly ModelSpec Model =
        new TransformerShape("m", 8, 64, 8, 8, 128, 256, 1024, ElementType.Float32).ToModelSpec();

    private static readonly string[] Names = ["a:1#1", "b:2#2", "c:3#3", "d:4#4"];

    private readonly SnapshotBuilder _builder = new(new NodeNames(), new LocalNodes());
    private long _reports;
    private DateTimeOffset _now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Weights_of_all_positions_of_a_replica_are_the_model_once_and_what_every_rank_holds()
    {
        var whole = new SliceGeometry(Model).WeightBytes;

        var one = Ranks(Build(View(1, 1, 1))).Sum(rank => rank.WeightBytes);
        var staged = Ranks(Build(View(1, 2, 1))).Sum(rank => rank.WeightBytes);
        var ranked = Ranks(Build(View(1, 1, 2))).Sum(rank => rank.WeightBytes);

        Assert.Equal(whole, one);
        Assert.Equal(whole, staged);
        Assert.InRange(ranked, whole + 1, whole + (whole / 10));
    }

    [Fact]
    public void Bytes_in_flight_are_what_a_device_has_not_loaded_yet()
    {
        var view = View(1, 2, 1) with
        {
            Loading = [new DeviceProgress(new DeviceId("b:2#2", 0), new Position(0, 1, 0), 30, 100)],
        };

        var snapshot = Build(view);

        var loading = Ranks(snapshot).Single(rank => rank.State == NodeState.Loading);
        Assert.Equal("node 1", loading.Node);
        Assert.InRange((double)loading.InFlight / loading.WeightBytes, 0.69, 0.71);
        Assert.Equal(0, Ranks(snapshot).Single(rank => rank.State == NodeState.Serving).InFlight);
    }

    [Fact]
    public void Pages_are_shown_for_the_layout_that_reports_them_and_not_for_one_that_gets_ready()
    {
        var load = new ReplicaControlProtocol.ReplicaLoad(new Epoch(1), 0, 2, 3, 64, 60, 100, 5, 7, 0);
        var serving = View(1, 1, 1) with { Loads = [load] };

        var pages = Ranks(Build(serving)).Single();
        var next = Ranks(Build(serving with { Epoch = new Epoch(2) })).Single();

        // 16 tokens of 8 layers of 8 heads of 8 floats, keys and values.
        Assert.Equal(40L * 16 * 8 * 8 * 8 * 4 * 2, pages.PageBytes);
        Assert.Equal(pages.PageBytes * 100 / 40, pages.PageBytesMax);
        Assert.Equal(0, next.PageBytesMax);
    }

    [Fact]
    public void Node_under_notice_leaves_and_one_that_is_missed_is_gone_for_a_while()
    {
        var deadline = _now.AddSeconds(30);
        var leaving = View(1, 2, 1) with
        {
            Leaving = ImmutableDictionary<string, DateTimeOffset>.Empty.Add("b:2#2", deadline),
        };

        var noticed = Build(leaving).Nodes[1];
        var gone = Build(View(1, 1, 1)).Nodes;
        _now = _now.AddSeconds(21);
        var forgotten = Build(View(1, 1, 1)).Nodes;

        Assert.Equal((NodeState.Leaving, deadline), (noticed.State, noticed.Deadline));
        Assert.Equal(["node 0", "node 1"], gone.Select(node => node.Name));
        Assert.Equal(NodeState.Gone, gone[1].State);
        Assert.Equal("node 0", Assert.Single(forgotten).Name);
    }

    [Fact]
    public void Rate_of_tokens_counts_each_once_whatever_epoch_drew_it()
    {
        var rate = new TokenRate();
        rate.Add(_now, [Load(1, 100)]);

        var steady = rate.Add(_now.AddSeconds(1), [Load(1, 120)]);
        var moved = rate.Add(_now.AddSeconds(2), [Load(2, 20)]);
        var again = rate.Add(_now.AddSeconds(4), [Load(2, 20)]);

        Assert.Equal((20.0, 20.0, 10.0), (steady, moved, again));
    }

    [Fact]
    public void Percentiles_are_of_what_all_processes_recorded_in_the_last_seconds_alone()
    {
        const string Name = "vllm:inter_token_latency_seconds";
        var metrics = new ClusterMetrics(TimeProvider.System);
        var latency = new LatencyWindow(Name);
        var metric = new MetricDescription(Name, MetricKind.Histogram, "s", "", [0.1, 0.2, 1]);
        Guid[] processes = [Guid.NewGuid(), Guid.NewGuid()];
        var nothing = latency.Look(_now, metrics);

        Report(0, 10, 0);
        Report(1, 0, 0);
        var idle = latency.Look(_now, metrics);
        Report(0, 20, 0);
        Report(1, 0, 10);
        var busy = latency.Look(_now = _now.AddSeconds(15), metrics)!;
        var over = latency.Look(_now = _now.AddSeconds(16), metrics);

        Assert.Null(nothing);
        Assert.Null(idle);
        // Ten of at most 0.1 s from the one, ten of 0.2 to 1 s from the other.
        Assert.Equal((0.1, 0.92), (busy.P50, Math.Round(busy.P95, 6)));
        Assert.Null(over);

        void Report(int process, long quick, long slow) => metrics.Take(
            processes[process], ++_reports, $"p{process}:1",
            [new MetricFamily(metric, [new MetricSeries("", 0, [quick, 0, slow, 0])])]);
    }

    [Fact]
    public void Names_of_nodes_in_the_planners_words_are_short_ones()
    {
        var names = new NodeNames();
        names.Of(new NodeInfo("127.0.0.1:5103#1f", "", []));

        Assert.Equal("node 0 leaves in 28 s", names.InWords("node 127.0.0.1:5103#1f leaves in 28 s"));
        Assert.Equal("node 10.0.0.7:1#2 joined", names.InWords("node 10.0.0.7:1#2 joined"));
        Assert.Equal("http://127.0.0.1:5103 is none", names.InWords("http://127.0.0.1:5103 is none"));
    }

    [Fact]
    public void Machines_in_the_fleet_managers_words_are_called_as_their_nodes_are()
    {
        var names = new NodeNames();
        names.Of(new NodeInfo("127.0.0.1:5103#1f", "", [])
        {
            Machine = new MachineInfo("process", 0.3, true, "") { InstanceId = "local-first-1" },
        });

        Assert.Equal("node 0 is gone", names.MachinesInWords("machine local-first-1 is gone"));
        Assert.Equal("local-first-10 is on demand", names.MachinesInWords("local-first-10 is on demand"));
        Assert.Equal("a machine is missing: 1 of 4", names.MachinesInWords("a machine is missing: 1 of 4"));
        Assert.Equal(("node 0", null), (names.OfMachine("local-first-1"), names.OfMachine("local-first-2")));
    }

    private ClusterSnapshot Build(PlannerView view) =>
        _builder.Build(new ClusterSnapshot { At = _now, Model = "m" }, view);

    private static RankView[] Ranks(ClusterSnapshot snapshot) =>
        [.. snapshot.Replicas.SelectMany(replica => replica.Stages).SelectMany(stage => stage.Ranks)];

    private static ReplicaControlProtocol.ReplicaLoad Load(long epoch, long tokens) =>
        new(new Epoch(epoch), 0, 0, 1, 64, 1, 1, 1, tokens, 0);

    private static PlannerView View(int replicas, int stages, int ranks)
    {
        var degrees = new LayoutDegrees(replicas, stages, ranks, 64);
        string[] nodes = [.. Names.Take(degrees.DeviceCount)];
        var layout = new Layout(
            degrees,
            Layout.EvenStages(Model.LayerCount, replicas, stages),
            [.. nodes.Select(node => new DeviceId(node, 0))]);
        return new PlannerView(
            new Epoch(1), PlannerPhase.Serving, "serving", Model, layout, new Epoch(1), [],
            [.. nodes.Select(node => new NodeInfo(node, "", [new DeviceInfo(0, "cpu", 1 << 30)]))], []);
    }
}
