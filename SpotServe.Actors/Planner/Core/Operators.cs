using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>What operators ask for.</summary>
internal static class Operators
{
    public static void OnLayoutAsked(Turn turn, PlannerInputs.LayoutAsked asked)
    {
        if (Refusal(turn, asked.Wanted) is { } refusal)
        {
            turn.Send(asked.Asker, new ClusterProtocol.OperatorAnswer(refusal));
            return;
        }

        turn.State = turn.State with
        {
            Setback = null,
            Wanted = asked.Wanted is { } degrees ? degrees with { BatchSize = turn.Options.SequencesMax } : null,
        };
        turn.Send(asked.Asker, new ClusterProtocol.OperatorAnswer(null));
        turn.PlanAfter(
            asked.Wanted is null ? "asked to choose the layout" : $"asked for {asked.Wanted}", TimeSpan.Zero);
    }

    public static void OnObjectiveAsked(Turn turn, PlannerInputs.ObjectiveAsked asked)
    {
        turn.Persist(new PlannerEvents.ObjectiveChosen(
            turn.State.Journal.Epoch, turn.Now, new ChosenObjective(asked.Objective, turn.Options.Objective)));
        turn.State = turn.State with { Objective = asked.Objective, Drift = null };
        turn.Send(asked.Asker, new ClusterProtocol.OperatorAnswer(null));
        turn.PlanAfter(
            asked.Objective is { } objective ? $"asked for {objective}" : "asked for one replica over all devices",
            TimeSpan.Zero);
    }

    public static void OnPreemptionAsked(Turn turn, PlannerInputs.PreemptionAsked asked)
    {
        var name = asked.Command.Node;
        if (!turn.State.Nodes.TryGetValue(name, out var node))
        {
            turn.Send(asked.Asker, new ClusterProtocol.OperatorAnswer(
                $"There is no node {name}. These are: {string.Join(", ", turn.State.Nodes.Keys)}."));
            return;
        }

        turn.Send(node.Address, asked.Command);
        turn.Send(asked.Asker, new ClusterProtocol.OperatorAnswer(null));
    }

    private static string? Refusal(Turn turn, LayoutDegrees? wanted)
    {
        if (turn.State.Model is not { } model) return "No node has reported yet, so there is no model to lay out.";
        var devices = turn.State.Staying.Sum(node => node.Devices.Length);
        return wanted is { } degrees
            ? LayoutConstraints.Violation(degrees, model.LayerCount, model.HeadCount, devices)
            : null;
    }
}
