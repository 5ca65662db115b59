using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using Xunit;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Tests.Planner;

/// <summary>What a planner learned and was told is what the next one starts with.</summary>
public sealed class RememberedTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly CostCorrections Learned = CostCorrections.None.With(new CostCorrection(1, "cpu", 2, 1));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Corrections_and_an_operators_objective_outlive_the_planner(bool isCheckpointed)
    {
        var core = new PlannerCore(new PlannerOptions());
        var state = core.Begin(JournalState.Empty, Start).State;
        state = core.Step(
            state, new PlannerInputs.ObjectiveAsked(new LayoutObjective(Objective.Throughput), new Nobody()), Start)
            .State;
        var journal = state.Journal.Apply(new CostsLearned(Epoch.None, Start, Learned));
        if (isCheckpointed) journal = JournalState.Empty.Apply(journal.Checkpoint(Start));

        var next = core.Begin(journal, Start).State;

        Assert.Equal(new LayoutObjective(Objective.Throughput), next.Objective);
        Assert.Equal(Learned.ByShape, next.Learned.ByShape);
    }

    [Fact]
    public void Objective_that_is_stated_anew_at_a_start_counts_more_than_what_an_operator_chose_before()
    {
        var chosen = new ChosenObjective(null, new LayoutObjective(Objective.Latency));
        var journal = JournalState.Empty.Apply(new ObjectiveChosen(Epoch.None, Start, chosen));

        Assert.Null(Begun(Objective.Latency));
        Assert.Equal(new LayoutObjective(Objective.Slo), Begun(Objective.Slo));

        LayoutObjective? Begun(Objective stated) =>
            new PlannerCore(new PlannerOptions { Objective = new LayoutObjective(stated) })
                .Begin(journal, Start).State.Objective;
    }

    private sealed record Nobody : IAddress;
}
