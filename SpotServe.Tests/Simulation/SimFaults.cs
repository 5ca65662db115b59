using Akka.Actor;
using SpotServe.Actors.Cluster;

namespace SpotServe.Tests.Simulation;

/// <summary>Draws what goes wrong and when, and does it.</summary>
internal sealed class SimFaults
{
    private readonly SimCluster _cluster;
    private readonly ClusterDraw _draw;
    private readonly List<(PlannerPhase Phase, Action Action)> _armed = [];
    private SimThemes? _themes;
    private bool _isHealed;

    public SimFaults(SimCluster cluster, ClusterDraw draw)
    {
        _cluster = cluster;
        _draw = draw;
    }

    private SimWorld World => _cluster.World;

    /// <summary>Draws faults between two times; later, all is well again.</summary>
    public void Draw(TimeSpan from, TimeSpan until, TimeSpan healed)
    {
        var mayAdd = new SimThemes(_cluster, _draw, this) is var themes && themes.Begin();
        _themes = themes;
        var count = mayAdd ? World.Random.Next(1, _draw.Theme == SimTheme.AnyFaults ? 7 : 3) : 0;
        for (var i = 0; i < count; i++)
        {
            World.At(World.Between(from.TotalSeconds, until.TotalSeconds), () =>
            {
                if (!_isHealed) Happen(World.Random.Next(16));
            });
        }

        World.At(healed, Heal);
    }

    /// <summary>Some faults wait for a phase of the planner.</summary>
    public void OnPhase(PlannerPhase phase)
    {
        foreach (var armed in _armed.Where(armed => armed.Phase == phase).ToArray())
        {
            _armed.Remove(armed);
            World.After(World.Between(0, 0.2), () =>
            {
                if (!_isHealed) armed.Action();
            });
        }
    }

    public void OnMessage(SimMessage message)
    {
        if (!_isHealed) _themes?.OnMessage(message);
    }

    public void HangPlanner(TimeSpan time)
    {
        if (_isHealed || _cluster.PlannerHome is not { IsReady: true } home) return;
        World.Say($"{home.Process} hangs for {time.TotalSeconds:0.0} s, with the planner");
        home.Process.Hang();
        World.After(time, home.Process.Resume);
    }

    /// <summary>Those that compute with it still hear it, everybody else does not.</summary>
    public void CutOffFromAllButItsReplicas(SimNode node, TimeSpan time)
    {
        if (_isHealed) return;
        var peers = _cluster.DataPlane.PeersOf(node).Select(peer => peer.Host).Append(node.Host).ToHashSet();
        var others = AllHosts().Where(host => !peers.Contains(host)).ToArray();
        World.Say($"{node.Host} | {string.Join(" ", others)} for {time.TotalSeconds:0.0} s");
        World.After(time, World.Network.Cut([node.Host], others));
    }

    private string[] AllHosts() =>
    [
        .. _cluster.Nodes.Where(node => !node.Process.IsDead).Select(node => node.Host)
            .Concat(_cluster.Controls.Select(control => control.Host)).Distinct(),
    ];

    private void Happen(int what)
    {
        switch (what)
        {
            case 0 or 1:
                Notice(World.Between(3, 20));
                break;
            case 2:
                Notice(World.Between(0, 3));
                break;
            case 3 or 4:
                Kill();
                break;
            case 5 or 6:
                Arm();
                break;
            case 7:
                Hang();
                break;
            case 8:
                Partition();
                break;
            case 9:
                Weather();
                break;
            case 10:
                SlowLinks();
                break;
            case 11:
                EndControl();
                break;
            case 12:
                KillAll();
                break;
            case 13:
                _cluster.AddNode();
                break;
            case 14:
                Kill();
                Kill();
                break;
            default:
                ChangeLayout();
                break;
        }
    }

    private void Notice(TimeSpan grace)
    {
        if (AnyNode() is not { } node) return;
        World.Say($"notice of {grace.TotalSeconds:0.0} s to {node.Name}");
        node.Notice(grace);
        Replace();
    }

    private void Kill()
    {
        if (AnyNode() is not { } node) return;
        _cluster.Die(node, closesSockets: World.Chance(0.7));
        Replace();
    }

    /// <summary>A kill, hang or notice that comes in the middle of something: that something is begun here.</summary>
    private void Arm()
    {
        var phase = World.Pick<PlannerPhase>(
            [PlannerPhase.Planning, PlannerPhase.PreCopying, PlannerPhase.CuttingOver, PlannerPhase.Releasing]);
        var what = World.Pick<Action>([Kill, Kill, Hang, EndControl, () => Notice(World.Between(0.5, 5))]);
        World.Say($"something happens at {phase}");
        _armed.Add((phase, what));
        if (World.Chance(0.5)) ChangeLayout();
        else Notice(World.Between(5, 15));
    }

    private void Hang()
    {
        if (AnyNode() is not { } node) return;
        var time = World.Chance(0.3) ? World.Between(10, 20) : World.Between(0.1, 4);
        World.Say($"{node.Name} hangs for {time.TotalSeconds:0.0} s");
        node.Process.Hang();
        World.After(time, node.Process.Resume);
    }

    private void Partition()
    {
        var hosts = AllHosts();
        var side = hosts.Where(_ => World.Chance(0.4)).ToArray();
        var other = hosts.Except(side).Where(_ => World.Chance(0.8)).ToArray();
        var time = World.Chance(0.3) ? World.Between(10, 20) : World.Between(0.1, 5);
        World.Say($"{string.Join(" ", side)} | {string.Join(" ", other)} for {time.TotalSeconds:0.0} s");
        World.After(time, World.Network.Cut(side, other));
    }

    private void Weather()
    {
        World.Say("control messages are late, lost, and come twice");
        (World.Network.Loss, World.Network.Duplication) = (0.05 * World.Random.NextDouble(), 0.05);
        World.Network.Delay = World.Between(0, 0.3);
        World.After(World.Between(2, 10), () =>
            (World.Network.Loss, World.Network.Duplication, World.Network.Delay) = (0, 0, TimeSpan.Zero));
    }

    private void SlowLinks()
    {
        World.Say("links are slow");
        _cluster.Calm.Disturb();
        World.Network.BytesPerSecond = _draw.BytesPerSecond / 30;
        World.After(World.Between(2, 15), () => World.Network.BytesPerSecond = _draw.BytesPerSecond);
    }

    private void EndControl()
    {
        var running = _cluster.Controls.Where(control => control.IsReady).ToArray();
        if (running.Length == 0) return;
        var control = World.Chance(0.6) && _cluster.PlannerHome is { IsReady: true } home ? home : World.Pick(running);
        // More than a minority at once is more than the cluster claims to survive without a restart.
        if (running.Length < _cluster.Controls.Count && _cluster.Controls.Count > 1) return;
        if (World.Chance(0.7))
        {
            _cluster.DieControl(control);
            return;
        }

        var time = World.Chance(0.3) ? World.Between(12, 16) : World.Between(0.2, 4);
        World.Say($"{control.Process} hangs for {time.TotalSeconds:0.0} s");
        control.Process.Hang();
        World.After(time, control.Process.Resume);
    }

    private void KillAll()
    {
        World.Say("all gpu nodes die");
        foreach (var node in _cluster.Nodes.Where(node => !node.Process.IsDead).ToArray())
        {
            _cluster.Die(node, closesSockets: World.Chance(0.7));
        }

        for (var i = 0; i < _draw.Nodes; i++) World.After(World.Between(1, 10), () => _cluster.AddNode());
    }

    public void ChangeLayout()
    {
        var devices = _cluster.Staying.Count() * _draw.DevicesPerNode;
        var wanted = ClusterDraw.AnyDegrees(World.Random, _draw.Model.LayerCount, devices);
        World.Say($"an operator asks for {wanted?.ToString() ?? "any layout"}");
        _cluster.Planner?.Tell(new ClusterProtocol.ChangeLayout(wanted), ActorRefs.NoSender);
    }

    private void Replace()
    {
        if (World.Chance(0.5)) World.After(World.Between(1, 10), () => _cluster.AddNode());
    }

    private SimNode? AnyNode()
    {
        var staying = _cluster.Staying.Where(node => node.Process.IsRunning).ToArray();
        return staying.Length == 0 ? null : World.Pick(staying);
    }

    private void Heal()
    {
        World.Say("all is well from here on");
        _isHealed = true;
        _armed.Clear();
        World.Network.HealAll();
        World.Network.BytesPerSecond = _draw.BytesPerSecond;
        foreach (var node in _cluster.Nodes) node.Process.Resume();
        foreach (var control in _cluster.Controls) control.Process.Resume();
        for (var i = _cluster.Staying.Count(); i < _draw.Nodes; i++) _cluster.AddNode();
    }
}
