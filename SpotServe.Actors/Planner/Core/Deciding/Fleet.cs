using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>Which machines the cluster wants: thought over at each decision and now and then, and written and told when
/// it is another wish.</summary>
internal static class Fleet
{
    public static void OnTick(Turn turn)
    {
        if (turn.Now >= turn.State.FleetAt) Consider(turn);
    }

    public static void Consider(Turn turn)
    {
        var rules = turn.Options.Fleet;
        turn.State = turn.State with { FleetAt = turn.Now + rules.Period };
        turn.State = DeviceSurvey.Ensure(turn.State, turn.Options);
        if (DecisionInputs.OfLoad(turn.State, turn.Options, turn.Now) is not { } inputs) return;
        var layout = (turn.State.Phase as ChangingPhase)?.Change.Layout ?? turn.State.ServedLast;
        if (FleetPlanner.Wish(inputs, rules, layout) is not { } wish || wish.IsSameAs(turn.State.Journal.Wish)) return;
        turn.Note(new PlannerEvents.FleetWished(turn.State.Journal.Epoch, turn.Now, wish));
        turn.Info("The cluster {Wish}", wish);
    }
}
