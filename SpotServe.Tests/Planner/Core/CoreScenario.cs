using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planner.Core;

/// <summary>What happens to one core.</summary>
/// <param name="IsScarce">Devices have little memory.</param>
/// <param name="StopsFirst">In the paper's way: what serves stops before anything moves.</param>
/// <param name="Nodes">That are there at the start.</param>
/// <param name="Muted">An answer that never comes for a time after the operations.</param>
internal sealed record CoreScenario(
    List<CoreOperation> Operations, bool IsScarce, bool StopsFirst, int Nodes, Type Muted)
{
    private const long Plenty = 64L << 20;

    /// <summary>A device has room for a layout, and one or two devices for no second one beside it.</summary>
    private const long Scarce = 5L << 20;

    /// <summary>Questions for holdings within a second.</summary>
    private const int RoundsMax = 8;

    private long MemoryBytes => IsScarce ? Scarce : Plenty;

    /// <returns>The phases that it led through.</returns>
    public HashSet<Type> Play(CoreBug? bug)
    {
        var run = new CoreRun(
            new PlannerOptions
            {
                DevicesExpected = Math.Max(1, Nodes),
                SequencesMax = 8,
                StepTokensMax = 64,
                WorkingBytes = 1 << 10,
                Mode = StopsFirst ? MigrationMode.StopThenMigrate : MigrationMode.CopyWhileServing,
                CheckpointEvery = 20,
            },
            bug);
        try
        {
            for (var i = 0; i < Nodes; i++) run.World.Join(1, MemoryBytes);
            run.Pass(TimeSpan.FromSeconds(2), nodesReport: true, mailArrives: true);
            foreach (var operation in Operations) operation.Do(run, MemoryBytes);
            Stall(run);
            Heal(run);
            return run.Phases;
        }
        catch (Exception error)
        {
            throw new InvalidOperationException($"{error.Message}\n{run.Story}", error);
        }
    }

    public override string ToString() =>
        $"scarce {IsScarce}, stops {StopsFirst}, nodes {Nodes}, muted {Muted.Name}:\n"
        + string.Join("\n", Operations);

    /// <summary>One kind of answer never comes: whatever waits for it ends all the same.</summary>
    private void Stall(CoreRun run)
    {
        run.Muted = Muted;
        var (phase, since) = (Mark(run.State), run.Now);
        for (var end = run.Now + TimeSpan.FromSeconds(100); run.Now < end;)
        {
            run.Pass(TimeSpan.FromSeconds(0.5), nodesReport: true, mailArrives: true);
            if (Mark(run.State) != phase) (phase, since) = (Mark(run.State), run.Now);
            Assert.True(
                phase.Phase == typeof(Serving) || phase.Phase == typeof(Gathering)
                    || run.Now - since < TimeSpan.FromSeconds(75),
                $"law broken: no phase lasts for ever; {run.State.Phase}");
        }

        run.Muted = null;
    }

    /// <summary>Nothing more happens: all nodes report and answer.</summary>
    private void Heal(CoreRun run)
    {
        run.CommandsToLose = 0;
        if (!run.World.Living.Any(node => node is { Deadline: null, LeavesAt: null }))
            run.World.Join(devices: 2, MemoryBytes);
        for (var end = run.Now + TimeSpan.FromSeconds(90); run.Now < end;)
        {
            var round = run.State.Round;
            run.Pass(TimeSpan.FromSeconds(1), nodesReport: true, mailArrives: true);
            Assert.True(run.State.Round - round < RoundsMax, "law broken: nodes are not asked all the time");
            if (IsWell(run)) return;
        }

        Assert.Fail($"law broken: something serves soon after all trouble; {run.State.Phase}");
    }

    private static (Type Phase, long Round, long Epoch) Mark(PlannerState state) =>
        (state.Phase.GetType(), state.Round, state.Journal.Epoch.Value);

    private static bool IsWell(CoreRun run) =>
        run.State is { Phase: Serving, Due: null, Active: { } active }
        && active.Replicas.Count == active.Layout.Degrees.Replicas
        && active.Replicas.Keys.All(replica => run.World.Runs(active.Epoch, active.Layout, replica))
        && !run.State.Leaving.Keys.Any(active.Layout.Uses);
}
