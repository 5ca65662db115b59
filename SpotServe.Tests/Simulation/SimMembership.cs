using Akka.Actor;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Planner;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// What the planner hears of members: a broken connection at once, unreachable after some seconds of silence, removed
/// after some more. Also decides which gpu nodes and control nodes the cluster gives up, as DowningPolicy does.
/// </summary>
internal sealed class SimMembership : IMembership
{
    private static readonly TimeSpan CheckPeriod = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan UnreachableAfter = TimeSpan.FromSeconds(5.5);
    private static readonly TimeSpan RemovedAfter = UnreachableAfter + DowningPolicy.GpuSilenceMax;
    private readonly SimCluster _cluster;
    private readonly Dictionary<object, TimeSpan> _silentSince = [];
    private IActorRef? _subscriber;

    public SimMembership(SimCluster cluster)
    {
        _cluster = cluster;
        Check();
    }

    private SimWorld World => _cluster.World;

    public void Subscribe(IActorContext context, IActorRef subscriber)
    {
        _subscriber = subscriber;
        // As Akka's initial state as events.
        foreach (var node in _cluster.Nodes.Where(node => !node.IsRemoved))
        {
            if (node.Deadline is not null) Tell(new MemberLeaving(node.Address));
            if (node.IsToldUnreachable) Tell(new MemberUnreachable(node.Address));
        }
    }

    public void OnLeaving(SimNode node) => World.After(World.Between(0.01, 0.5), () =>
    {
        if (!node.IsRemoved && !node.Process.IsDead) Tell(new MemberLeaving(node.Address));
    });

    /// <summary>The connections of a process that ended are closed.</summary>
    public void OnClosed(SimNode node) => World.After(World.Between(0.001, 0.05), () =>
    {
        if (!node.IsRemoved) Tell(new MemberSuspected(node.Address));
    });

    /// <summary>It has left in order.</summary>
    public void OnLeft(SimNode node) => World.After(World.Between(0.05, 0.5), () => Remove(node, "was removed"));

    /// <summary>Another process comes to a host's address.</summary>
    public void OnReplaced(string host)
    {
        foreach (var node in _cluster.Nodes.Where(node => node.Host == host).ToArray()) Remove(node, "was replaced");
    }

    private void Check()
    {
        foreach (var node in _cluster.Nodes.Where(node => !node.IsRemoved).ToArray()) CheckNode(node);
        foreach (var control in _cluster.Controls.ToArray()) CheckControl(control);
        World.After(CheckPeriod, Check);
    }

    private void CheckNode(SimNode node)
    {
        var members = _cluster.Controls.Where(control => control.ClusterId == node.ClusterId).ToArray();
        var isHeard = Array.Exists(members, control => Reaches(control.Process, node.Process));
        var silence = Silence(node, isHeard);
        if (isHeard) node.IsToldUnreachable = false;
        if (silence >= UnreachableAfter && !node.IsToldUnreachable)
        {
            node.IsToldUnreachable = true;
            Tell(new MemberUnreachable(node.Address));
        }

        var isReplaced = members.Length == 0
            && _cluster.Controls.Exists(control => Reaches(control.Process, node.Process));
        if ((silence >= DowningPolicy.AloneMax || isReplaced) && node.Process.IsRunning)
            _cluster.StopMembership(node, "hears no control node");
        if (silence >= RemovedAfter) Remove(node, "was downed");
    }

    private void Remove(SimNode node, string how)
    {
        if (node.IsRemoved) return;
        node.IsRemoved = true;
        World.Say($"{node.Name} {how}");
        Tell(new MemberLost(node.Address, how));
        World.Network.Remove(node.Process);
        // One that lives and wakes up, or can be heard again, learns that it is out.
        _cluster.WhenRunning(node.Process, () => _cluster.StopMembership(node, "was removed"));
    }

    private void CheckControl(SimControl control)
    {
        var others = _cluster.Controls.Where(other => other != control).ToArray();
        if (others.Length == 0)
        {
            if (control.Process.IsDead) _cluster.RemoveControl(control);
            return;
        }

        var heard = others.Count(other => Reaches(other.Process, control.Process));
        // With itself it is on the side of more than half, or of half and the lower name.
        var isMajority = control.Process.IsRunning && 2 * (heard + 1) > others.Length + 1;
        var silence = Silence(control, isMajority);
        if (silence >= DowningPolicy.MinoritySilenceMax && control.Process.IsRunning) _cluster.StopControl(control);
        if (silence >= DowningPolicy.ControlSilenceMax) _cluster.RemoveControl(control);
    }

    private TimeSpan Silence(object member, bool isHeard)
    {
        if (isHeard)
        {
            _silentSince.Remove(member);
            return TimeSpan.Zero;
        }

        _silentSince.TryAdd(member, World.Now);
        return World.Now - _silentSince[member];
    }

    private bool Reaches(SimProcess one, SimProcess other) =>
        one.IsRunning && other.IsRunning && !World.Network.IsCut(one.Host, other.Host);

    private void Tell(object news)
    {
        if (_subscriber is null || World.ProcessOf(_subscriber) is not { IsDead: false }) return;
        World.Say($"planner hears {news}");
        _subscriber.Tell(news, ActorRefs.NoSender);
    }
}
