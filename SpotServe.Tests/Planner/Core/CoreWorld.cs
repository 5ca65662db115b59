using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Planner.Core;

/// <summary>
/// All that a core talks to: nodes and replicas that do what they are told. What they say lies in <see cref="Mail"/>
/// until somebody delivers it, in any order, twice or never.
/// </summary>
internal sealed class CoreWorld
{
    private const int RequestsOfReplica = 3;
    private readonly Dictionary<(Epoch Epoch, int Replica), CoreLeader> _leaders = [];
    private readonly Dictionary<Epoch, (Layout Layout, PageOrigin? Origin)> _layouts = [];
    private int _born;

    public List<CoreNode> Nodes { get; } = [];

    /// <summary>Sent and not delivered.</summary>
    public List<object> Mail { get; } = [];

    public IEnumerable<CoreNode> Living => Nodes.Where(node => node.IsAlive);

    public CoreNode Join(int devices, long memoryBytes)
    {
        var node = new CoreNode($"10.0.0.{_born / 2}:{5000 + (_born++ % 2)}#{_born}", devices, memoryBytes);
        Nodes.Add(node);
        return node;
    }

    public CoreNode? Find(string name) => Nodes.Find(node => node.Name == name);

    /// <summary>Whether each position of a replica runs.</summary>
    public bool Runs(Epoch epoch, Layout layout, int replica) => layout.PositionsOf(replica)
        .Select(layout.DeviceAt)
        .All(device => Find(device.Node) is { IsAlive: true } node && node.Running.Contains((epoch, device)));

    /// <summary>The process ends: its peers see closed links, and the membership says so in the end.</summary>
    public void End(CoreNode node)
    {
        if (!node.IsAlive) return;
        node.IsAlive = false;
        foreach (var (epoch, device) in node.Running.ToList()) BreakPeers(epoch, device);
        Mail.Add(new MemberSuspected(HostOf(node)));
        Mail.Add(new MemberLost(HostOf(node), "was downed"));
    }

    public void Command(CoreNode node, object command)
    {
        if (!node.IsAlive) return;
        switch (command)
        {
            case GetHoldings question:
                Mail.Add(node.Holdings(question.Round));
                break;
            case PreparePosition order:
                node.Prepare(order);
                Mail.Add(new DeviceLoading(order.Epoch, order.Device, new LoadProgress(1, 2, 0, 1)));
                Mail.Add(new DevicePrepared(order.Epoch, order.Device, 0.1));
                break;
            case ReleasePosition release:
                if (node.Release(release.Epoch, release.Device)) BreakPeers(release.Epoch, release.Device);
                Mail.Add(new PositionReleased(release.Epoch, release.Device));
                break;
            case ProbeSources:
                node.Rates = new SourceRates(1e9, 1e9);
                break;
            case PreemptNode preempt:
                Mail.Add(new NodeNotice(node.Name, DateTimeOffset.UnixEpoch + preempt.Grace, preempt.Source));
                break;
            case NodeReleased or NodeRefused:
                End(node);
                break;
        }
    }

    public void Connect(PlannerEffect.Connect connect)
    {
        _layouts[connect.Epoch] = (connect.Layout, connect.Origin);
        var position = connect.Layout.PositionOf(connect.Device);
        var isLeader = position is { Stage: 0, Rank: 0 };
        var key = (connect.Epoch, position.Replica);
        var leader = isLeader
            ? _leaders.GetValueOrDefault(key) ?? new CoreLeader(connect.Epoch, position.Replica, connect.Device.Node)
            : null;
        if (Find(connect.Device.Node) is not { IsAlive: true } node
            || !node.Connect(connect.Epoch, connect.Device, leader?.Address)) return;
        Mail.Add(new DeviceConnected(connect.Epoch, connect.Device));
        if (leader is null) return;
        _leaders[key] = leader;
        Mail.Add(new PlannerInputs.LeaderStarted(connect.Epoch, position.Replica, leader.Address));
    }

    public void BeginHandover(PlannerEffect.BeginHandover begin)
    {
        if (LeaderAt(begin.To) is not { } leader) return;
        leader.Target = begin.NewEpoch;
        Mail.Add(new HandoverProtocol.HandoverReady(leader.Epoch, leader.Replica, begin.NewEpoch));
        HandOver(leader, begin.Targets.Select(target => target.NewReplica));
        leader.Targets = [.. begin.Targets.Select(target => target.NewReplica)];
    }

    public void CommandLeader(CoreAddress to, object command)
    {
        if (LeaderAt(to) is not { } leader) return;
        switch (command)
        {
            case ReplicaControlProtocol.GetReplicaCache:
                Mail.Add(new ReplicaControlProtocol.ReplicaCacheReport(
                    leader.Epoch, leader.Replica,
                    [.. Enumerable.Range(0, RequestsOfReplica).Select(index => new CachedRequest(
                        new RequestId($"r{leader.Replica}-{index}"), 40, 20))]));
                break;
            case ReplicaControlProtocol.Drain:
                leader.IsDrained = true;
                Mail.Add(new ReplicaControlProtocol.Drained(leader.Epoch, leader.Replica));
                HandOver(leader, leader.Targets);
                break;
            case HandoverProtocol.ServeNow:
                Serve(leader);
                break;
        }
    }

    /// <summary>A device breaks, or its replica is torn down: the others of its replica lose a peer.</summary>
    public void Break(CoreNode node, DeviceFailed failed)
    {
        if (!node.Running.Contains((failed.Epoch, failed.Device))) return;
        node.Fail(failed);
        Mail.Add(failed);
        BreakPeers(failed.Epoch, failed.Device);
    }

    public static string HostOf(CoreNode node) => node.Name.Split('#')[0];

    private void BreakPeers(Epoch epoch, DeviceId gone)
    {
        if (!_layouts.TryGetValue(epoch, out var known)) return;
        var replica = known.Layout.PositionOf(gone).Replica;
        foreach (var device in known.Layout.PositionsOf(replica).Select(known.Layout.DeviceAt))
        {
            if (device == gone || Find(device.Node) is not { IsAlive: true } peer) continue;
            if (!peer.Running.Contains((epoch, device))) continue;
            var failed = new DeviceFailed(epoch, device, "a link was closed", gone.Node) { Kind = FailureKind.Peer };
            peer.Fail(failed);
            Mail.Add(failed);
        }

        if (_leaders.Remove((epoch, replica), out var leader) && Find(leader.Address.Node!) is { IsAlive: true })
            Mail.Add(new ReplicaControlProtocol.ReplicaLost(epoch, replica, "a link was closed"));
    }

    private CoreLeader? LeaderAt(IAddress to) => _leaders.Values.FirstOrDefault(leader =>
        leader.Address.Equals(to) && Find(leader.Address.Node!) is { IsAlive: true });

    /// <summary>A replica that stands still gives what it has to those that it was told of; one that has all that it
    /// expects serves.</summary>
    private void HandOver(CoreLeader old, IEnumerable<int> targets)
    {
        if (!old.IsDrained || old.Target is not { } epoch) return;
        foreach (var target in targets)
        {
            if (!_leaders.TryGetValue((epoch, target), out var leader)) continue;
            leader.Heard.Add(old.Replica);
            var expected = _layouts[epoch].Origin?.Expects[target] ?? [];
            if (expected.All(leader.Heard.Contains)) Serve(leader);
        }
    }

    private void Serve(CoreLeader leader) => Mail.Add(new HandoverProtocol.ReplicaServes(
        leader.Epoch, leader.Replica, RequestsOfReplica, 0, 0, 1_000));

    private sealed class CoreLeader(Epoch epoch, int replica, string node)
    {
        public Epoch Epoch => epoch;

        public int Replica => replica;

        public CoreAddress Address { get; } = new($"leader {replica} of {epoch}", node);

        public bool IsDrained { get; set; }

        public Epoch? Target { get; set; }

        public ImmutableArray<int> Targets { get; set; } = [];

        /// <summary>Old replicas that have handed over to this one.</summary>
        public HashSet<int> Heard { get; } = [];
    }
}
