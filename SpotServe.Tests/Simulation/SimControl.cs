using Akka.Actor;
using Akka.Cluster.Sharding;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Requests;

namespace SpotServe.Tests.Simulation;

/// <summary>One control node: a real gateway, real request entities behind a simulated shard region, perhaps the
/// planner.</summary>
internal sealed class SimControl
{
    private readonly SimCluster _cluster;

    public SimControl(SimCluster cluster, string host, int incarnation)
    {
        _cluster = cluster;
        Host = host;
        ClusterId = cluster.ClusterId;
        Process = new SimProcess(cluster.World, cluster.System, host, $"{host}-{incarnation}");
        Process.Spawn(Props.Create(() => new SimPlannerProxy(cluster, Process, ClusterId)), "planner-proxy", proxy =>
        {
            Process.Spawn(
                Props.Create(() => new SimRegion(cluster, this)), "requests", region => Region = region);
            Process.Spawn(
                Props.Create(() => new GatewayActor(
                    cluster.GatewayOptions, cluster.World.Clock, Board, proxy, () => Region!)),
                "gateway",
                gateway =>
                {
                    Gateway = gateway;
                    cluster.OnControlReady(this);
                });
        });
    }

    public string Host { get; }

    public int ClusterId { get; }

    public SimProcess Process { get; }

    public ClusterBoard Board { get; } = new();

    public IActorRef? Region { get; private set; }

    public IActorRef? Gateway { get; private set; }

    public bool IsReady => Process.IsRunning && Gateway is not null;

    /// <summary>The singletons move together, as the oldest control node has all of them.</summary>
    public void StartSingletons(PlannerOptions options, Action<IActorRef> then)
    {
        Process.Spawn(
            RequestKeeper.Props(
                _cluster.World.Database, () => Region!, new RequestKeeperOptions(), _cluster.World.Clock),
            "request-keeper");
        Process.Spawn(
            ControlHosting.PlannerProps(options, _cluster.World.Clock, _cluster.Membership, new JournalHealth()),
            "planner",
            then);
    }
}

/// <summary>
/// Where a request's messages go: each shard has one home, and only there its entities live. What comes for a shard
/// whose home is gone is lost until the cluster has given it up.
/// </summary>
internal sealed class SimRegion : ReceiveActor
{
    private readonly SimCluster _cluster;
    private readonly SimControl _control;
    private readonly Dictionary<string, List<(object Message, IActorRef Sender)>> _stopping = [];

    public SimRegion(SimCluster cluster, SimControl control)
    {
        _cluster = cluster;
        _control = control;
        Receive<RequestProtocol.IMessage>(OnMessage);
        Receive<Passivate>(passivate =>
        {
            if (_stopping.TryAdd(Sender.Path.Name, [])) Sender.Tell(passivate.StopMessage);
        });
        Receive<Terminated>(stopped =>
        {
            if (!_stopping.Remove(stopped.ActorRef.Path.Name, out var waiting)) return;
            foreach (var (message, sender) in waiting) Self.Tell(message, sender);
        });
    }

    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(error =>
    {
        _cluster.World.Break($"{Self.Path}: an entity failed: {error}");
        return Directive.Stop;
    });

    private void OnMessage(RequestProtocol.IMessage message)
    {
        if (_cluster.HomeOf(message.Id) is not { } home) return;
        if (home != _control)
        {
            home.Region?.Forward(message);
            return;
        }

        if (_stopping.TryGetValue(message.Id.Value, out var waiting)) waiting.Add((message, Sender));
        else EntityOf(message.Id).Forward(message);
    }

    private IActorRef EntityOf(RequestId id)
    {
        var known = Context.Child(id.Value);
        if (!known.IsNobody()) return known;
        return Context.Watch(Context.ActorOf(
            RequestEntity.Props(id, _cluster.RequestOptions, _cluster.World.Clock, _control.Gateway!), id.Value));
    }
}
