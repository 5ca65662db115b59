using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>The first layout failed because the model cannot be loaded: another try would end like it. The control
/// nodes and the nodes end with the reason; a node with another model would begin anew.</summary>
/// <param name="Fingerprint">Of the model.</param>
internal sealed record CannotServe(string Reason, string Fingerprint) : Phase
{
    public override PlannerPhase Name => PlannerPhase.CannotServe;

    public static void Begin(Turn turn, string reason)
    {
        Invariant.Holds(turn.State.Model is not null, "what failed to load was some node's model");
        var model = turn.State.Model;
        var nodes = turn.State.Nodes;
        var line = $"Model {model.Name} cannot be served: {reason}";
        turn.State = turn.State with
        {
            Nodes = nodes.Clear(),
            Names = turn.State.Names.Clear(),
            Roster = turn.State.Roster + 1,
            Due = null,
        };
        turn.Enter(new CannotServe(line, model.Fingerprint), line);
        var refusal = new ClusterProtocol.NodeRefused(line) { Term = turn.State.Journal.Term };
        foreach (var node in nodes.Values) turn.Send(node.Address, refusal);
    }
}
