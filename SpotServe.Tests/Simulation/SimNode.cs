using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Hosting;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// One membership of a gpu node: a real node actor with all that it makes, over fake devices. The devices belong to the
/// machine's process and outlive a membership that the cluster ended.
/// </summary>
internal sealed class SimNode
{
    private readonly SimCluster _cluster;

    public SimNode(SimCluster cluster, string host, int incarnation, ImmutableArray<FakeDeviceRuntime> runtimes)
    {
        _cluster = cluster;
        Host = host;
        Incarnation = incarnation;
        Runtimes = runtimes;
        ClusterId = cluster.ClusterId;
        Process = new SimProcess(cluster.World, cluster.System, host, $"{host}-{incarnation}");
        cluster.DataPlane.Add(this);
        var launcher = new SimLauncher(cluster.World, cluster.DataPlane, this);
        var info = new NodeInfo(Name, $"{host}:2", [.. runtimes.Select(
            (runtime, index) => new DeviceInfo(index, runtime.Description, runtime.MemoryBytes)
            {
                Speed = runtime.MeasureSpeed(),
            })]);
        Process.Spawn(Props.Create(() => new SimPlannerProxy(cluster, Process, ClusterId)), "planner-proxy", proxy =>
            Process.Spawn(
                NodeHosting.NodeProps(
                    info, runtimes[0].Model, proxy, [.. runtimes], launcher, OnUnfit, OnReleased, cluster.World.Clock),
                "node",
                actor => Actor = actor));
    }

    public string Host { get; }

    public int Incarnation { get; }

    /// <summary>As real nodes are called: the address, and what tells two processes there apart.</summary>
    public string Name => $"{Address}#{Incarnation:x}";

    public string Address => $"{Host}:1";

    /// <summary>Which formation of the cluster it joined: a lone control node that restarts forms another.</summary>
    public int ClusterId { get; }

    public SimProcess Process { get; }

    public ImmutableArray<FakeDeviceRuntime> Runtimes { get; }

    public IActorRef? Actor { get; private set; }

    /// <summary>Data-plane requests of older epochs are refused.</summary>
    public Epoch Retired { get; set; } = Epoch.None;

    /// <summary>Its uplink is busy until then.</summary>
    public TimeSpan SendsUntil { get; set; }

    /// <summary>When its machine goes; null without a notice.</summary>
    public TimeSpan? Deadline { get; private set; }

    /// <summary>The cluster has given this membership up.</summary>
    public bool IsRemoved { get; set; }

    public bool IsToldUnreachable { get; set; }

    /// <summary>When it was given notice.</summary>
    public TimeSpan NoticedAt { get; private set; } = TimeSpan.MaxValue;

    public void Notice(TimeSpan grace)
    {
        if (Process.IsDead || Actor is null || Deadline is not null) return;
        var world = _cluster.World;
        (NoticedAt, Deadline) = (world.Now, world.Now + grace);
        Process.Do(() => Actor.Tell(
            new PreemptionNotice(world.Clock.GetUtcNow() + grace, "simulation"), ActorRefs.NoSender));
        _cluster.Membership.OnLeaving(this);
        world.After(grace, () =>
        {
            _cluster.OnDeadline?.Invoke(this);
            _cluster.Die(this, closesSockets: world.Chance(0.5));
        });
    }

    private void OnReleased(string reason)
    {
        // The process leaves the cluster in order and ends.
        if (Process.IsDead) return;
        _cluster.World.Say($"{Name} is released");
        _cluster.World.After(_cluster.World.Between(0.05, 0.5), () => _cluster.Leave(this));
    }

    private void OnUnfit(string reason)
    {
        if (reason.Contains("bug", StringComparison.Ordinal)) _cluster.World.Break($"{Name}: {reason}");
        _cluster.World.Say($"{Name} is unfit: {reason}");
        _cluster.World.After(TimeSpan.Zero, () => _cluster.Die(this, closesSockets: true));
        // Operators have it started again.
        _cluster.World.After(_cluster.World.Between(1, 4), () => _cluster.AddNode());
    }
}

/// <summary>What a process knows the planner singleton by: sends on what it can, keeps some while there is
/// none.</summary>
internal sealed class SimPlannerProxy : ReceiveActor
{
    private const int KeptMax = 100;

    public SimPlannerProxy(SimCluster cluster, SimProcess process, int clusterId)
    {
        var kept = new Queue<(object Message, IActorRef Sender)>();
        ReceiveAny(message =>
        {
            if (clusterId != cluster.ClusterId || cluster.Planner is not { } planner)
            {
                if (kept.Count < KeptMax) kept.Enqueue((message, Sender));
                return;
            }

            while (kept.TryDequeue(out var earlier)) planner.Tell(earlier.Message, earlier.Sender);
            planner.Forward(message);
        });
    }
}
