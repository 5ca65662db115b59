using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Replica;

namespace SpotServe.Tests.Simulation;

/// <summary>Does what a seed's theme is about; the faults that chance adds are <see cref="SimFaults"/>'s.</summary>
internal sealed class SimThemes(SimCluster cluster, ClusterDraw draw, SimFaults faults)
{
    private bool _isSilenced;

    private SimWorld World => cluster.World;

    /// <returns>Whether chance may add faults.</returns>
    public bool Begin()
    {
        switch (draw.Theme)
        {
            case SimTheme.OneNotice:
                World.At(World.Between(4, 8), () => Notice(World.Between(8, 15)));
                return false;
            case SimTheme.FullBatches:
                World.At(World.Between(2.5, 4.5), Shrink);
                return World.Chance(0.3);
            case SimTheme.PageShortage:
                World.At(World.Between(3, 6), Shrink);
                return World.Chance(0.3);
            case SimTheme.SilentHome:
                World.At(World.Between(3, 5), NoticeToLeader);
                return false;
            case SimTheme.WakingPlanner:
                World.At(World.Between(4, 7), () =>
                {
                    faults.ChangeLayout();
                    // From before the layout is decided to after it serves.
                    World.After(World.Between(0, 2), () => faults.HangPlanner(World.Between(10.5, 15)));
                });
                return World.Chance(0.5);
            default:
                return true;
        }
    }

    /// <summary>Some of it waits for a message.</summary>
    public void OnMessage(SimMessage message)
    {
        if (draw.Theme != SimTheme.SilentHome || _isSilenced || message.Content is not HandoverProtocol.HandoverOpened)
            return;
        if (cluster.NodeOf(message.From) is not { } home || home.Deadline is null) return;
        _isSilenced = true;
        World.After(World.Between(0, 1), () => faults.CutOffFromAllButItsReplicas(home, World.Between(6, 10)));
    }

    /// <summary>A replica fewer: its node leaves, or an operator says so.</summary>
    private void Shrink()
    {
        var fewer = draw.Planner.Wanted!.Value with { Replicas = draw.Planner.Wanted.Value.Replicas - 1 };
        if (World.Chance(0.5)) Notice(World.Between(8, 15));
        cluster.Planner?.Tell(new ClusterProtocol.ChangeLayout(fewer), ActorRefs.NoSender);
        World.Say($"an operator asks for {fewer}");
    }

    private void Notice(TimeSpan grace)
    {
        var staying = cluster.Staying.Where(node => node.Process.IsRunning).ToArray();
        if (staying.Length == 0) return;
        var node = World.Pick(staying);
        World.Say($"notice of {grace.TotalSeconds:0.0} s to {node.Name}");
        node.Notice(grace);
    }

    /// <summary>The leader goes and another stage stays, whose pages the next replica shares. The deadline is so near
    /// that the planner has the next one serve before it has given the silent one up.</summary>
    private void NoticeToLeader()
    {
        if (cluster.DataPlane.LeaderOfPipeline() is not { Deadline: null } leader)
        {
            World.After(TimeSpan.FromSeconds(0.5), NoticeToLeader);
            return;
        }

        var grace = World.Between(6, 7.5);
        World.Say($"notice of {grace.TotalSeconds:0.0} s to the leader {leader.Name}");
        leader.Notice(grace);
    }
}
