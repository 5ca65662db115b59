using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

/// <summary>A planner on virtual time with scripted nodes.</summary>
public abstract class PlannerTestKit : PatientTestKit
{
    private const string Virtual = """
        akka.persistence.journal.plugin = akka.persistence.journal.inmem
        akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit"
        """;

    private readonly Dictionary<string, IActorRef> _actors = [];

    protected PlannerTestKit()
        : base(Virtual)
    {
    }

    private protected ManualClock Clock { get; } = new();

    protected static CancellationToken Cancel => TestContext.Current.CancellationToken;

    protected IActorRef Planner(int devices, LayoutDegrees? wanted, PlannerOptions? options = null) =>
        Sys.ActorOf(PlannerActor.Props(
            (options ?? new PlannerOptions()) with { DevicesExpected = devices, Wanted = wanted, SequencesMax = 8 },
            Clock,
            new ManualMembership()));

    private protected ScriptedNode[] Join(IActorRef planner, params string[] names) =>
        [.. names.Select(name => Join(planner, new ScriptedNode(name, CreateTestProbe())))];

    private protected ScriptedNode Join(IActorRef planner, ScriptedNode node)
    {
        _actors[node.Name] = Sys.ActorOf(node.Props());
        Register(planner, node);
        return node;
    }

    private protected void Register(IActorRef planner, ScriptedNode node) =>
        planner.Tell(new RegisterNode(node.Info, TestModels.Small, _actors[node.Name]));

    /// <summary>Brings a layout from the start to serving; its replicas' actors are probes.</summary>
    private protected (Epoch Epoch, TestProbe[] Replicas) Serve(IActorRef planner, ScriptedNode[] nodes)
    {
        Tick(planner);
        var epoch = Prepare(planner, nodes);
        var replicas = Connect(planner, nodes, epoch);
        Published(planner, PlannerPhase.Serving);
        return (epoch, replicas);
    }

    private protected static Epoch Prepare(IActorRef planner, ScriptedNode[] nodes)
    {
        var epoch = Epoch.None;
        foreach (var node in nodes)
        {
            var prepare = node.Commands.FishForMessage<PreparePosition>(_ => true, cancellationToken: Cancel);
            epoch = prepare.Epoch;
            node.Positions = [.. node.Positions, new PositionReport(epoch, prepare.Order.Assignment, true, null)];
            planner.Tell(new DevicePrepared(epoch, node.Device, 0.1));
        }

        return epoch;
    }

    private protected TestProbe[] Connect(IActorRef planner, ScriptedNode[] nodes, Epoch epoch)
    {
        var replicas = new SortedDictionary<int, TestProbe>();
        foreach (var node in nodes)
        {
            var connect = node.Commands.FishForMessage<ConnectPosition>(
                message => message.Epoch == epoch, cancellationToken: Cancel);
            planner.Tell(new DeviceConnected(epoch, node.Device));
            var index = connect.Replica.Replica;
            if (connect.Replica.Devices[0] != node.Device) continue;
            var replica = CreateTestProbe();
            replicas[index] = replica;
            node.Positions = [.. node.Positions.Select(report =>
                report.Epoch == epoch ? report with { Replica = replica } : report)];
            planner.Tell(new ReplicaStarted(epoch, index, replica));
        }

        return [.. replicas.Values];
    }

    /// <summary>Lets virtual time pass for the planner: its clock and its timers.</summary>
    protected void Tick(IActorRef planner, TimeSpan? time = null)
    {
        // Once it answers, its timer exists in virtual time and earlier messages have been handled.
        View(planner);
        Clock.Advance(time ?? TimeSpan.FromMilliseconds(60));
        ((TestScheduler)Sys.Scheduler).Advance(time ?? TimeSpan.FromMilliseconds(60));
        View(planner);
    }

    protected PlannerView View(IActorRef planner) => Published(planner, phase: null);

    /// <summary>The planner's view as a new gateway gets it, or the first one in a phase.</summary>
    protected PlannerView Published(IActorRef planner, PlannerPhase? phase)
    {
        var gateway = CreateTestProbe();
        planner.Tell(new RegisterGateway(gateway));
        PlannerView? known = null;
        gateway.FishForMessage(
            message =>
            {
                known = message switch
                {
                    PlannerView view => view,
                    ViewChange change when known is not null => ViewDifference.Apply(known, change),
                    _ => known,
                };
                return known is not null && (phase is null || known.Phase == phase);
            },
            cancellationToken: Cancel);
        return known!;
    }

    /// <summary>A replica with nothing in its cache.</summary>
    private protected static void AnswerEmptyCache(TestProbe replica, Epoch epoch, int index)
    {
        replica.FishForMessage<ReplicaControlProtocol.GetReplicaCache>(_ => true, cancellationToken: Cancel);
        replica.LastSender.Tell(new ReplicaControlProtocol.ReplicaCacheReport(epoch, index, []), replica);
    }
}
