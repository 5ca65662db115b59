using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Planner;

/// <summary>All nodes are asked what they hold, and the replicas that serve which requests are in their caches: the
/// next layout is chosen from the answers. One that does not answer in time is lost.</summary>
/// <param name="Round">Number of the question.</param>
/// <param name="Holdings">Of the nodes that have answered.</param>
/// <param name="Caches">Of the replicas that have answered.</param>
internal sealed record Asking(
    Cause Cause,
    long Round,
    DateTimeOffset Since,
    DateTimeOffset RepeatAt,
    ImmutableSortedDictionary<string, ImmutableArray<HeldDevice>> Holdings,
    ImmutableSortedDictionary<int, ReplicaCache> Caches) : Phase
{
    public override PlannerPhase Name => PlannerPhase.Planning;

    public override bool JudgesSilence => true;

    public static void Begin(Turn turn, Cause cause)
    {
        turn.State = turn.State with { Due = null, Round = turn.State.Round + 1 };
        var asking = new Asking(
            cause, turn.State.Round, turn.Now, turn.Now + turn.Limits.RepeatAfter,
            ImmutableSortedDictionary.Create<string, ImmutableArray<HeldDevice>>(StringComparer.Ordinal),
            ImmutableSortedDictionary<int, ReplicaCache>.Empty);
        turn.Enter(asking, $"planning: {cause}");
        asking.Ask(turn);
    }

    public override bool Hear(Turn turn, object message)
    {
        switch (message)
        {
            // One that was lost meanwhile has to report itself anew.
            case PlannerInputs.HoldingsReported answer
                when answer.Round == Round && turn.State.Nodes.ContainsKey(answer.Node):
                turn.State = turn.State with { Accused = turn.State.Accused.Remove(answer.Node) };
                turn.Stay(this with
                {
                    Holdings = Holdings.SetItem(answer.Node, answer.Devices),
                    Cause = Cause.Acquit(answer.Node),
                });
                return true;
            case ReplicaControlProtocol.ReplicaCacheReport report
                when turn.State.Active is { } active && report.Epoch == active.Epoch
                    && active.Replicas.ContainsKey(report.Replica):
                var cache = new ReplicaCache(report.Replica, report.Requests);
                turn.Stay(this with { Caches = Caches.SetItem(report.Replica, cache) });
                return true;
            default:
                return false;
        }
    }

    public override void OnTick(Turn turn)
    {
        var waited = turn.Now - Since;
        foreach (var node in turn.State.Nodes.Keys.Where(node => !Holdings.ContainsKey(node)))
        {
            var isAccused = turn.State.Accused.ContainsKey(node);
            if (waited >= turn.Limits.AnswerMax || (isAccused && waited >= turn.Limits.AccusedAnswerMax))
                Losses.LoseNode(turn, node, Cause.Lost(node, NoticedBy.Silence));
        }

        if (waited >= turn.Limits.AnswerMax && turn.State.Active is { } active)
        {
            foreach (var replica in active.Replicas.Keys.Where(replica => !Caches.ContainsKey(replica)))
                Losses.LoseReplica(turn, replica, Cause.Symptom($"replica {replica} did not answer"));
        }

        if (turn.Now < RepeatAt || turn.State.Phase is not Asking asking) return;
        turn.Stay(asking with { RepeatAt = turn.Now + turn.Limits.RepeatAfter });
        asking.Ask(turn);
    }

    /// <summary>What it held is no source for the plan that is being made.</summary>
    public override void OnNodeLost(Turn turn, string node, Cause cause) =>
        turn.Stay(this with { Holdings = Holdings.Remove(node), Cause = Cause.And(cause) });

    public override void OnReplicaLost(Turn turn, int replica, Cause cause) => Explain(turn, cause);

    /// <summary>Its answer, or its silence, will tell.</summary>
    public override void OnNodeSuspected(Turn turn, string node, Cause cause)
    {
        if (Holdings.ContainsKey(node)) base.OnNodeSuspected(turn, node, cause);
    }

    /// <summary>Decides once all have answered that may live.</summary>
    public override void Settle(Turn turn)
    {
        var ended = turn.State.Accused.FirstOrDefault(accused => accused.Value.ProveTheEnd()
            && turn.State.Nodes.ContainsKey(accused.Key) && !Holdings.ContainsKey(accused.Key)).Key;
        if (ended is not null)
        {
            Losses.LoseNode(turn, ended, Cause.Lost(ended, NoticedBy.ClosedConnections));
            return;   // to be settled again without it
        }

        // With each answer: of thousands of nodes, not all are looked up before all have answered.
        if (Holdings.Count < turn.State.Nodes.Count) return;
        if (turn.State is { Claim: null, Active: { } asked } && Caches.Count < asked.Replicas.Count) return;
        if (turn.State.Nodes.Keys.Any(node => !Holdings.ContainsKey(node))) return;
        if (turn.State.Claim is not null)
        {
            Recovery.SettleClaim(turn, Holdings);
            AskReplicas(turn);
        }

        if (turn.State.Active is { Replicas: var replicas } && (Caches.Count < replicas.Count
            || replicas.Keys.Any(replica => !Caches.ContainsKey(replica)))) return;
        ReleaseWhatIsOver(turn);
        Apart.Refresh(turn);
        Decision.Hear(turn, this);
        if (Decision.IsNeeded(turn)) Decision.Make(turn, this);
        else RestUntilItFits(turn);
    }

    /// <summary>Something else was noticed of what led to the question.</summary>
    public void Explain(Turn turn, Cause cause) => turn.Stay(this with { Cause = Cause.And(cause) });

    /// <summary>What serves goes on. Where nothing does and nothing fits those that are there, they are asked again in
    /// a while.</summary>
    private void RestUntilItFits(Turn turn)
    {
        turn.Rest("nothing fits yet");
        if (turn.State.Phase is Gathering && !turn.State.Staying.IsEmpty)
            turn.PlanAfter(Cause, turn.Limits.RetryAfter);
    }

    private void Ask(Turn turn)
    {
        foreach (var (name, node) in turn.State.Nodes)
        {
            if (Holdings.ContainsKey(name)) continue;
            turn.Send(node.Address, new ClusterProtocol.GetHoldings(Round) { Term = turn.State.Journal.Term });
        }

        AskReplicas(turn);
    }

    private void AskReplicas(Turn turn)
    {
        if (turn.State.Active is not { } active) return;
        foreach (var (replica, leader) in active.Replicas)
        {
            if (Caches.ContainsKey(replica)) continue;
            turn.Send(leader, new ReplicaControlProtocol.GetReplicaCache(active.Epoch));
        }
    }

    /// <summary>What devices still have of epochs that are over goes, all but the weights.</summary>
    private void ReleaseWhatIsOver(Turn turn)
    {
        var active = turn.State.Active;
        var alive = active?.Alive() ?? [];
        foreach (var held in Holdings.Values.SelectMany(devices => devices))
        {
            foreach (var position in held.Positions)
            {
                if (position.Epoch == active?.Epoch && alive.Contains(held.Device)) continue;
                turn.Release(position.Epoch, held.Device, trim: false);
            }
        }
    }
}
