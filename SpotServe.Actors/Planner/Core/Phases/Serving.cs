using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>A layout serves and nothing is under way.</summary>
internal sealed record Serving : IdlePhase
{
    public override PlannerPhase Name => PlannerPhase.Serving;

    public override void OnTick(Turn turn)
    {
        Departures.ReleaseThoseThatMayGo(turn);
        Apart.ReuniteThoseWhoseTimeIsOver(turn);
        Probing.OnServing(turn);
        Following.OnTick(turn);
        Fleet.OnTick(turn);
    }
}
