using SpotServe.Tests.Cluster;
using SpotServe.Tests.Planner;

namespace SpotServe.Tests.Mutations;

/// <summary>Bugs of nodes, devices and the planner, most of them seen by whole clusters alone.</summary>
internal static class ClusterMutations
{
    private const string Folder = "SpotServe.Actors/Cluster/";

    private const string Planner = "SpotServe.Actors/Planner/Core/";

    public static Mutation[] All => [.. OfPlanner, .. OfNodes];

    private static Mutation[] OfPlanner =>
    [
        new("planner: the old layout is released before all of the new one serves", Planner + "Phases/CuttingOver.cs",
            "if (next.NotServing.IsEmpty && (next.Stopping.IsEmpty || next.Change.Decision.Origin is not null))",
            "if (next.NotServing.IsEmpty || next.Stopping.IsEmpty)",
            Killer.Of<ReconfigurationTests>(), Killer.Seeds(1, 100)),
        new("planner: a new layout uses a node under notice", Planner + "PlannerState.cs",
            "!Leaving.ContainsKey(node.Node) && !node.Devices.IsEmpty",
            "!node.Devices.IsEmpty",
            Killer.Of<ReconfigurationTests>(), Killer.Seeds(1, 100)),
        new("planner: pages are waited for beyond the deadline", Planner + "Phases/HandingOver.cs",
            "turn.Now >= leaving.Deadline - turn.Limits.DeadlineReserve",
            "turn.Now >= leaving.Deadline + turn.Limits.DeadlineReserve",
            Killer.Of<ReconfigurationTests>(), Killer.Seeds(1, 100)),
        new("planner: the hand-over's limit does not know of the deadline", Planner + "Phases/CuttingOver.cs",
            "before.Layout.Uses(node) && goes < limit)",
            "before.Layout.Uses(node) && goes > limit)",
            Killer.Of<ReconfigurationTests>(), Killer.Seeds(1, 100)),
        new("planner: a node that nothing needs is kept", Planner + "Departures.cs",
            "if (serving.Contains(name) || turn.Now",
            "if (!serving.Contains(name) || turn.Now",
            Killer.Of<ReconfigurationTests>(), Killer.Seeds(1, 100)),
        new("planner: loads of an older epoch count", Planner + "Demand.cs",
            "if (turn.State.Active is not { } active || load.Epoch != active.Epoch) return;",
            "if (turn.State.Active is not { } active) return;",
            Killer.Of<FollowingTests>()),
        new("planner: after a restart what does not run is taken to serve", Planner + "Recovery.cs",
            "held.Epoch == claim.Epoch && held.IsRunning)",
            "held.Epoch == claim.Epoch)",
            Killer.Of<PlannerActorTests>())
        {
            Survives = "a layout is activated when all its positions run; one that stops is reported no more",
        },
    ];

    private static Mutation[] OfNodes =>
    [
        new("node: the commands of a replaced planner are obeyed", Folder + "NodeActor.cs",
            "command => command.Term < _term,",
            "command => command.Term < 0 * _term,",
            Killer.Of<NodeActorTests>()),
        new("device: an epoch that was released is prepared again", Folder + "ShardActor.cs",
            "if (command.Epoch <= _newest)",
            "if (command.Epoch < Epoch.None)",
            Killer.Of<ShardActorTests>()),
        new("device: what was being made ready stays beside what follows", Folder + "ShardActor.cs",
            "_positions.Keys.Where(epoch => epoch != command.Order.Predecessor)",
            "_positions.Keys.Where(epoch => epoch == Epoch.None)",
            Killer.Of<ShardActorTests>()),
        new("device: a released epoch leaves its weights", Folder + "ShardActor.cs",
            "        if (closed.Trim) _runtime.Trim();\n",
            "",
            Killer.Of<ShardActorTests>()),
        new("node: a notice is told once", Folder + "NodeActor.cs",
            "if (_notice is { } notice) _planner.Tell(",
            "if (_notice is { } notice && _rounds.Count > 99) _planner.Tell(",
            Killer.Of<NodeActorTests>()),
    ];
}
