using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

/// <summary>The node's actor between planner and shards: what it repeats, and whom it obeys.</summary>
public sealed class NodeActorTests : PatientTestKit
{
    private static readonly NodeInfo Info = new("a:1#1", "127.0.0.1:1", [new DeviceInfo(0, "cpu", 8L << 30)]);
    private static readonly DeviceId Device = new(Info.Node, 0);
    private readonly System.Collections.Concurrent.ConcurrentQueue<string> _ends = [];
    private readonly TestProbe _planner;
    private readonly TestProbe _shard;
    private readonly IActorRef _node;

    public NodeActorTests()
    {
        _planner = CreateTestProbe("planner");
        _shard = CreateTestProbe("shard");
        var shard = Props.Create(() => new Passing(_shard));
        Action<string> ignore = _ends.Enqueue;
        _node = Sys.ActorOf(Props.Create(() => new NodeActor(
            Info, TestModels.Small, _planner, _ => shard, ignore, ignore, TimeProvider.System)));
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Failure_is_repeated_with_every_report_until_the_planner_acts_on_it()
    {
        var failed = new DeviceFailed(new Epoch(3), Device, "lost a peer", "b:1#1");

        _node.Tell(failed);
        for (var i = 0; i < 3; i++) Expect<DeviceFailed>();
        _node.Tell(new ReleasePosition(new Epoch(3), Device, Trim: false));
        _shard.ExpectMsg<ReleasePosition>(cancellationToken: Cancel);
        Expect<RegisterNode>();   // may have been on its way already
        Expect<RegisterNode>();

        Assert.IsType<RegisterNode>(_planner.ReceiveOne(Waits.Max, Cancel));
        Assert.IsType<RegisterNode>(_planner.ReceiveOne(Waits.Max, Cancel));
    }

    [Fact]
    public void Node_whose_layout_connected_says_once_unasked_what_it_holds_in_a_round_that_no_question_has()
    {
        _node.Tell(new GetHoldings(1) { Term = 2 }, _planner);
        _shard.ExpectMsg<GetHoldings>(cancellationToken: Cancel);
        _shard.Reply(new DeviceHoldings(Device, [], []));
        Assert.Equal(1, Expect<NodeHoldings>().Round);

        _node.Tell(new DeviceConnected(new Epoch(1), Device));
        _node.Tell(new DeviceConnected(new Epoch(2), Device));
        Assert.Equal(0, _shard.ExpectMsg<GetHoldings>(cancellationToken: Cancel).Round);
        _shard.Reply(new DeviceHoldings(Device, [], []));

        Assert.Equal(0, Expect<NodeHoldings>().Round);
        _node.Tell(new GetHoldings(2) { Term = 2 }, _planner);
        Assert.Equal(2, _shard.ExpectMsg<GetHoldings>(cancellationToken: Cancel).Round);
    }

    [Fact]
    public void Planner_of_a_lower_term_than_was_heard_is_not_obeyed()
    {
        _node.Tell(new GetHoldings(1) { Term = 2 });
        _shard.ExpectMsg<GetHoldings>(cancellationToken: Cancel);

        _node.Tell(new ReleasePosition(new Epoch(1), Device, Trim: false) { Term = 1 });
        _node.Tell(new ReleasePosition(new Epoch(2), Device, Trim: false) { Term = 2 });

        Assert.Equal(new Epoch(2), _shard.ExpectMsg<ReleasePosition>(cancellationToken: Cancel).Epoch);
    }

    [Fact]
    public void Planner_of_a_lower_term_neither_refuses_nor_releases_nor_preempts_the_node()
    {
        Sys.EventStream.Subscribe(TestActor, typeof(PreemptionNotice));
        _node.Tell(new PreemptionNotice(DateTimeOffset.MaxValue, "file"));
        _node.Tell(new GetHoldings(1) { Term = 2 });

        _node.Tell(new NodeRefused("another model") { Term = 1 });
        _node.Tell(new NodeReleased(Info.Node) { Term = 1 });
        _node.Tell(new PreemptNode(Info.Node, TimeSpan.FromSeconds(5), "old") { Term = 1 });
        _node.Tell(new PreemptNode(Info.Node, TimeSpan.FromSeconds(5), "new") { Term = 3 });
        _node.Tell(new NodeReleased(Info.Node) { Term = 2 });   // the last one was of term 3

        Assert.Equal("new", ExpectMsg<PreemptionNotice>(cancellationToken: Cancel).Source);
        _node.Tell(new NodeReleased(Info.Node) { Term = 3 });
        AwaitCondition(() => !_ends.IsEmpty, cancellationToken: Cancel);
        Assert.Equal(["nothing in the cluster needs it"], _ends);
    }

    [Fact]
    public void Notice_is_part_of_all_reports_until_the_planner_has_acted_on_it()
    {
        var deadline = DateTimeOffset.UnixEpoch.AddDays(1);
        _node.Tell(new PreemptionNotice(deadline, "file"));

        for (var i = 0; i < 3; i++)
        {
            var told = _planner.FishForMessage<NodeNotice>(_ => true, cancellationToken: Cancel);
            Assert.Equal(new NodeNotice(Info.Node, deadline, "file"), told);
        }
    }

    [Fact]
    public void Hash_of_the_weight_files_is_part_of_all_reports_once_it_is_known()
    {
        _planner.FishForMessage<RegisterNode>(report => report.Node.WeightsHash is null, cancellationToken: Cancel);

        Sys.EventStream.Publish(new WeightsHashed("abcd"));

        for (var i = 0; i < 2; i++)
        {
            _planner.FishForMessage<RegisterNode>(
                report => report.Node.WeightsHash == "abcd", cancellationToken: Cancel);
        }
    }

    [Fact]
    public void What_a_device_measured_is_part_of_all_reports_from_then_on()
    {
        _node.Tell(new ShardActor.Probed(new SourceRates(1e9, 2e9)));

        for (var i = 0; i < 2; i++)
        {
            var report = _planner.FishForMessage<RegisterNode>(
                message => message.Node.Rates is not null, cancellationToken: Cancel);
            Assert.Equal(new SourceRates(1e9, 2e9), report.Node.Rates);
        }
    }

    private T Expect<T>() => _planner.FishForMessage<T>(_ => true, cancellationToken: Cancel);

    private sealed class Passing : ReceiveActor
    {
        public Passing(IActorRef to) => ReceiveAny(to.Forward);
    }
}
