using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// A whole cluster in one world: control nodes, gpu nodes, the planner singleton, shards and their homes. Its methods
/// are what can happen to machines; what the cluster makes of it is the product's.
/// </summary>
internal sealed class SimCluster
{
    private const int ShardCount = 8;
    private readonly Dictionary<string, int> _incarnations = [];
    private readonly SimControl?[] _homes = new SimControl?[ShardCount];
    private readonly ClusterDraw _draw;
    private int _requests;
    private int _hosts;

    public SimCluster(SimWorld world, ActorSystem system, ClusterDraw draw)
    {
        World = world;
        System = system;
        _draw = draw;
        GatewayOptions = new GatewayOptions { NewId = (_, _) => new RequestId($"r{++_requests}") };
        DataPlane = new SimDataPlane(world, draw.Model.VocabularySize);
        Calm = new SimCalm(this);
        Membership = new SimMembership(this);
        for (var i = 0; i < draw.Controls; i++) AddControl($"control{i}");
        for (var i = 0; i < draw.Nodes; i++) world.After(world.Between(0, 1), () => AddNode());
    }

    public SimWorld World { get; }

    public ActorSystem System { get; }

    public GatewayOptions GatewayOptions { get; }

    public RequestOptions RequestOptions { get; } = new();

    public SimDataPlane DataPlane { get; }

    public SimMembership Membership { get; }

    public SimCalm Calm { get; }

    /// <summary>A machine that was given notice is about to go, its process still running or not.</summary>
    public Action<SimNode>? OnDeadline { get; set; }

    /// <summary>Control members, in order of age; dead ones until they are given up.</summary>
    public List<SimControl> Controls { get; } = [];

    /// <summary>All memberships of gpu nodes that ever were.</summary>
    public List<SimNode> Nodes { get; } = [];

    public List<SimClient> Clients { get; } = [];

    public IActorRef? Planner { get; private set; }

    public SimControl? PlannerHome { get; private set; }

    public int ClusterId { get; private set; }

    /// <summary>Gpu nodes that are up and stay.</summary>
    public IEnumerable<SimNode> Staying =>
        Nodes.Where(node => node is { IsRemoved: false, Process.IsDead: false, Deadline: null });

    public SimNode AddNode()
    {
        var host = $"gpu{++_hosts}";
        return AddNode(host, [.. Enumerable.Range(0, _draw.DevicesPerNode)
            .Select(_ => new FakeDeviceRuntime(_draw.Model, _draw.MemoryBytes)
            {
                // Every second machine of a mixed fleet is half as fast, so that stages are cut unequally.
                Speed = _draw.IsMixed ? ClusterDraw.SpeedOf(_hosts % 2 == 0) : null,
                Clock = World.Clock,
                DiskBytesPerSecond = _draw.DiskBytesPerSecond,
            })]);
    }

    public void AddControl(string host)
    {
        if (Controls.Count == 0) ClusterId++;
        Controls.Add(new SimControl(this, host, Next(host)));
    }

    public void OnControlReady(SimControl control)
    {
        for (var shard = 0; shard < ShardCount; shard++) _homes[shard] ??= World.Pick(Controls);
        if (PlannerHome is null) StartPlanner();
    }

    /// <summary>The gpu node that an actor is of; null for others.</summary>
    public SimNode? NodeOf(IActorRef? actor) =>
        World.ProcessOf(actor) is { } process ? Nodes.Find(node => node.Process == process) : null;

    public SimControl? HomeOf(RequestId id)
    {
        var home = _homes[ShardOf(id)];
        return home is { Process.IsDead: false } ? home : null;
    }

    /// <summary>A gpu process ends here and now, all of its memory with it.</summary>
    public void Die(SimNode node, bool closesSockets)
    {
        if (node.Process.IsDead) return;
        World.Say($"{node.Name} dies{(closesSockets ? "" : " silently")}");
        Calm.Disturb();
        node.Process.Kill();
        if (!closesSockets) return;
        DataPlane.OnDied(node);
        Membership.OnClosed(node);
    }

    /// <summary>A gpu process that was released leaves the cluster in order.</summary>
    public void Leave(SimNode node)
    {
        if (node.Process.IsDead) return;
        World.Say($"{node.Name} leaves");
        node.Process.Kill();
        DataPlane.OnDied(node);
        Membership.OnLeft(node);
    }

    /// <summary>The cluster has given the membership up, or it the cluster: its actors stop, and the process joins
    /// anew with what its devices hold.</summary>
    public void StopMembership(SimNode node, string why)
    {
        if (!node.Process.IsRunning) return;
        World.Say($"{node.Name} ends its membership: it {why}");
        Calm.Disturb();
        node.Process.Stop(() =>
        {
            DataPlane.OnDied(node);
            Membership.OnClosed(node);
            Rejoin(node);
        });
    }

    /// <summary>Does something once a process runs: now, or when it wakes up; never when it is dead by then.</summary>
    public void WhenRunning(SimProcess process, Action action)
    {
        if (process.IsDead) return;
        if (process.IsRunning) World.After(World.Between(0, 1), action);
        else World.After(TimeSpan.FromSeconds(0.1), () => WhenRunning(process, action));
    }

    public void DieControl(SimControl control)
    {
        if (control.Process.IsDead) return;
        World.Say($"{control.Process} dies");
        control.Process.Kill();
        OnControlGone(control);
    }

    public void StopControl(SimControl control)
    {
        World.Say($"{control.Process} stops");
        control.Process.Stop(() => OnControlGone(control));
    }

    /// <summary>The cluster gives a control node up: its shards and perhaps the planner move.</summary>
    public void RemoveControl(SimControl control)
    {
        if (!control.Process.IsDead && !control.Process.IsHung) return;
        if (!Controls.Remove(control)) return;
        World.Say($"{control.Process} is given up");
        World.Network.Remove(control.Process);
        if (!control.Process.IsDead)
        {
            // When it wakes up it is told so; what it writes until then, the journal refuses.
            WhenRunning(control.Process, () =>
            {
                StopControl(control);
                Calm.LeaveOrphans(ReplicaSettings.Default.OrphanGrace);
            });
        }

        for (var shard = 0; shard < ShardCount; shard++)
        {
            if (_homes[shard] == control) _homes[shard] = Controls.Count == 0 ? null : World.Pick(Controls);
        }

        if (PlannerHome == control)
        {
            (PlannerHome, Planner) = (null, null);
            World.After(World.Between(0.2, 1), StartPlanner);
        }

        // Operators have control nodes restarted.
        World.After(World.Between(1, 4), () => AddControl(control.Host));
    }

    private void OnControlGone(SimControl control)
    {
        foreach (var client in Clients) client.OnBroken(control);
    }

    private void StartPlanner()
    {
        var home = Controls.Find(control => control.IsReady);
        if (PlannerHome is not null || home is null) return;
        PlannerHome = home;
        World.Say($"planner starts at {home.Process}");
        Calm.Disturb();
        home.StartSingletons(_draw.Planner, planner => World.After(World.Between(0.01, 0.1), () =>
        {
            if (PlannerHome == home) Planner = planner;
        }));
    }

    private void Rejoin(SimNode node)
    {
        if (node.Deadline is { } deadline && deadline - World.Now < TimeSpan.FromSeconds(2)) return;
        var canJoin = Controls.Exists(control =>
            control.IsReady && !World.Network.IsCut(control.Host, node.Host));
        if (!canJoin)
        {
            World.After(TimeSpan.FromSeconds(1), () => Rejoin(node));
            return;
        }

        World.After(World.Between(0.2, 1), () =>
        {
            // A cluster removes whoever was at an address before it takes another one in there.
            Membership.OnReplaced(node.Host);
            var again = AddNode(node.Host, node.Runtimes);
            if (node.Deadline is { } left) World.After(TimeSpan.FromSeconds(0.1), () => again.Notice(left - World.Now));
        });
    }

    private SimNode AddNode(string host, ImmutableArray<FakeDeviceRuntime> runtimes)
    {
        var node = new SimNode(this, host, Next(host), runtimes);
        Nodes.Add(node);
        World.Say($"{node.Name} joins");
        return node;
    }

    private int Next(string host) => _incarnations[host] = _incarnations.GetValueOrDefault(host) + 1;

    private static int ShardOf(RequestId id) => (int)(Stable.Hash(id.Value) % ShardCount);
}
