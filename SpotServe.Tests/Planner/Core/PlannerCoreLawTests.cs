using CsCheck;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
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

    private static readonly Gen<CoreScenario> Scenarios =
        from operations in CoreOperation.Any.List[1, 60]
        from isScarce in Gen.Bool
        from stops in Gen.Frequency((4, Gen.Const(false)), (1, Gen.Const(true)))
        from nodes in Gen.Int[0, 4]
        from muted in Gen.OneOfConst(Answers)
        select new CoreScenario(operations, isScarce, stops, nodes, muted);

    private const int DrawnCount = 600;

    public static TheoryData<string> Bugs => [.. CoreBug.All.Select(bug => bug.Name)];

    [Fact]
    public void Laws_hold_whatever_happens_and_something_serves_soon_after_it()
    {
        Scenarios.Sample(scenario => { scenario.Play(bug: null); }, iter: 300, threads: 1);
    }

    [Fact]
    public void Scenarios_lead_through_every_phase()
    {
        HashSet<Type> missing = [.. Phases];

        foreach (var scenario in Drawn().TakeWhile(_ => missing.Count > 0))
            missing.ExceptWith(scenario.Play(bug: null));

        Assert.Empty(missing);
    }

    /// <summary>The laws have teeth.</summary>
    [Theory]
    [MemberData(nameof(Bugs))]
    public void Core_with_a_bug_breaks_the_law_against_it(string name)
    {
        var bug = CoreBug.All.Single(bug => bug.Name == name);

        var broken = Drawn().Select(scenario => Record.Exception(() => scenario.Play(bug)))
            .FirstOrDefault(error => error is not null);

        Assert.NotNull(broken);
        Assert.Contains(bug.Law, broken.ToString(), StringComparison.Ordinal);
    }

    /// <summary>The same scenarios in every run: what they must meet is not left to chance.</summary>
    private static IEnumerable<CoreScenario> Drawn()
    {
        var draws = new PCG(stream: 1, seed: 1);
        for (var i = 0; i < DrawnCount; i++) yield return Scenarios.Generate(draws, null, out _);
    }
}
