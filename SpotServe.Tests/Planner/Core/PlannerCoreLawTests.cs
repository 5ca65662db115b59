using CsCheck;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using Xunit;

namespace SpotServe.Tests.Planner.Core;

/// <summary>
/// Any sequence of joins, notices, losses, late, doubled, lost and senseless messages, waits, entries that cannot be
/// written and planners that begin anew: the laws hold with every effect, no phase lasts for ever, and once the trouble
/// is over something serves soon.
/// </summary>
public sealed class PlannerCoreLawTests
{
    private const long Plenty = 64L << 20;

    /// <summary>A device has room for a layout, and one or two devices for no second one beside it.</summary>
    private const long Scarce = 5L << 20;

    /// <summary>Questions for holdings within a second.</summary>
    private const int RoundsMax = 8;

    /// <summary>Answers that the core waits for.</summary>
    private static readonly Type[] Answers =
    [
        typeof(PlannerInputs.HoldingsReported), typeof(PlannerInputs.LeaderStarted),
        typeof(ClusterProtocol.DevicePrepared), typeof(ClusterProtocol.DeviceConnected),
        typeof(ClusterProtocol.PositionReleased), typeof(ReplicaControlProtocol.ReplicaCacheReport),
        typeof(ReplicaControlProtocol.Drained), typeof(HandoverProtocol.HandoverReady),
        typeof(HandoverProtocol.ReplicaServes),
    ];

    private static readonly Type[] Phases =
    [
        typeof(Gathering), typeof(Asking), typeof(StoppingFirst), typeof(Preparing), typeof(Connecting),
        typeof(HandingOver), typeof(CuttingOver), typeof(Releasing), typeof(Serving),
    ];

    private static readonly Gen<Scenario> Scenarios =
        from operations in CoreOperation.Any.List[1, 60]
        from isScarce in Gen.Bool
        from stops in Gen.Frequency((4, Gen.Const(false)), (1, Gen.Const(true)))
        from nodes in Gen.Int[0, 4]
        from muted in Gen.OneOfConst(Answers)
        select new Scenario(operations, isScarce, stops, nodes, muted);

    public static TheoryData<string> Bugs => [.. CoreBug.All.Select(bug => bug.Name)];

    [Fact]
    public void Laws_hold_whatever_happens_and_something_serves_soon_after_it()
    {
        HashSet<Type> reached = [];

        Scenarios.Sample(scenario => reached.UnionWith(scenario.Play(bug: null)), iter: 400, threads: 1);

        Assert.Empty(Phases.Except(reached));
    }

    /// <summary>The laws have teeth.</summary>
    [Theory]
    [MemberData(nameof(Bugs))]
    public void Core_with_a_bug_breaks_the_law_against_it(string name)
    {
        var bug = CoreBug.All.Single(bug => bug.Name == name);

        var broken = Assert.Throws<CsCheckException>(() =>
            Scenarios.Sample(scenario => scenario.Play(bug), iter: 400, threads: 1));

        Assert.Contains(bug.Law, broken.ToString(), StringComparison.Ordinal);
    }

    private sealed record Scenario(
        List<CoreOperation> Operations, bool IsScarce, bool StopsFirst, int Nodes, Type Muted)
    {
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
}
