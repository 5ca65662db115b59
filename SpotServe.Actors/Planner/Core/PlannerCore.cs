using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Planner;

/// <summary>
/// Decides who serves what, as a reconcile loop: whatever happened, nodes report what they hold, and the next layout
/// starts from there. A function of the state, an event and the time; the shell does what it asks for.
/// <see cref="Phase"/> lists the phases in order of life.
/// </summary>
internal sealed class PlannerCore(PlannerOptions options)
{
    /// <summary>More phases in a row than any event leads through.</summary>
    private const int PhasesMax = 16;

    /// <summary>A planner starts with what its journal says. Its first entry has the next term: from then on the
    /// journal refuses what an older planner writes that was given up and wakes up.</summary>
    public (PlannerState State, ImmutableArray<PlannerEffect> Effects) Begin(JournalState journal, DateTimeOffset now)
    {
        var state = new PlannerState
        {
            Journal = journal,
            StartedAt = now,
            Phase = new Gathering(now),
            StatusLine = "waiting for nodes",
            Claim = journal.Serving,
            Aftermath = new Aftermath(journal.Epoch),
            Wanted = options.Wanted,
            // An operator's choice outlives the planner, until something else is stated at a start.
            Objective = journal.Choice is { } choice && choice.Stated == options.Objective
                ? choice.Chosen
                : options.Objective,
            Learned = journal.Corrections,
        };
        var turn = new Turn(state, options, now);
        turn.Persist(new PlannerStarted(journal.Epoch, journal.Term + 1, now));
        return (turn.State, turn.Effects);
    }

    /// <param name="happened">One of <see cref="PlannerInputs"/>, or a message of the nodes', the replicas' or the
    /// membership's that carries no actors.</param>
    /// <returns>The next state, and what is to be done, in order.</returns>
    public (PlannerState State, ImmutableArray<PlannerEffect> Effects) Step(
        PlannerState state, object happened, DateTimeOffset now)
    {
        var turn = new Turn(state, options, now);
        Handle(turn, happened);
        for (var i = 0; i < PhasesMax; i++)
        {
            var phase = turn.State.Phase;
            phase.Settle(turn);
            if (ReferenceEquals(phase, turn.State.Phase)) return (turn.State, turn.Effects);
        }

        throw new InvariantException($"{happened} leads to no state that lasts");
    }

    /// <summary>What the latest decision was made from, and what one would be made from now.</summary>
    public PlanningRecord Record(PlannerState state, DateTimeOffset now) => new(
        state.Planned?.Epoch.Value, state.Planned?.Inputs, DecisionInputs.Of(state, options, now))
    {
        Steps = [.. state.Planned?.Migration.Steps.Select(PlannedStep.Of) ?? []],
    };

    private static void Handle(Turn turn, object happened)
    {
        switch (happened)
        {
            case PlannerInputs.Tick:
                if (!turn.State.Phase.JudgesSilence) Losses.LoseSilentNodes(turn);
                Aftermath.OnTick(turn);
                turn.State.Phase.OnTick(turn);
                break;
            case PlannerInputs.NodeReported report:
                Reports.OnNode(turn, report);
                break;
            case PlannerInputs.GatewayReported { Gateway: var gateway }:
                if (!turn.State.Gateways.Contains(gateway))
                    turn.State = turn.State with { Gateways = turn.State.Gateways.Add(gateway) };
                turn.Show(gateway);
                break;
            case PlannerInputs.GatewayGone { Gateway: var gateway }:
                turn.State = turn.State with
                {
                    Gateways = turn.State.Gateways.Remove(gateway),
                    Demand = turn.State.Demand.Remove(gateway),
                };
                break;
            case PlannerInputs.DemandReported report:
                Demand.OnGatewayLoad(turn, report);
                break;
            case PlannerInputs.ObjectiveAsked asked:
                Operators.OnObjectiveAsked(turn, asked);
                break;
            case PlannerInputs.LayoutAsked asked:
                Operators.OnLayoutAsked(turn, asked);
                break;
            case PlannerInputs.PreemptionAsked asked:
                Operators.OnPreemptionAsked(turn, asked);
                break;
            case ClusterProtocol.NodeNotice notice:
                Departures.OnNotice(turn, notice);
                break;
            case MemberLeaving leaving:
                Departures.OnMemberLeaving(turn, leaving);
                break;
            case MemberLost lost:
                Losses.OnMemberLost(turn, lost);
                break;
            case MemberSuspected suspected:
                Losses.OnMemberSuspected(turn, suspected);
                break;
            case MemberRefuses refuses:
                Losses.OnMemberRefuses(turn, refuses);
                break;
            case MemberUnreachable unreachable:
                Losses.OnMemberUnreachable(turn, unreachable);
                break;
            case ClusterProtocol.DeviceFailed failed:
                Losses.OnDeviceFailed(turn, failed);
                break;
            case ReplicaControlProtocol.ReplicaLost lost:
                Losses.OnReplicaLost(turn, lost);
                break;
            case ReplicaControlProtocol.ReplicaLoad load:
                Aftermath.OnReplicaLoad(turn, load);
                Demand.OnReplicaLoad(turn, load);
                break;
            default:
                if (turn.State.Phase.Hear(turn, happened)) break;
                turn.Debug(
                    "Ignored {Message} while {Phase}: epoch is now {Epoch}", happened, turn.State.Phase.Name,
                    turn.State.Journal.Epoch);
                break;
        }
    }
}
