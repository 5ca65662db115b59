using static SpotServe.Actors.Fleet.FleetEvents;

namespace SpotServe.Actors.Fleet;

/// <summary>
/// What the fleet manager does: a function of state, event and time. A reconcile loop as the planner is one: the
/// cloud's
/// list says which machines there are, the planner which are wanted, and each step goes from the one towards the other.
/// An order that was not answered is given again with its token, so that a crash or a time-out at any point costs time
/// and never a second machine.
/// </summary>
internal sealed class FleetCore(FleetLimits limits)
{
    public FleetStep Begin(FleetJournal journal, DateTimeOffset now)
    {
        var turn = new FleetTurn(new FleetState(journal, now), limits, now);
        turn.Note(new FleetBegun(now, limits.Cluster, limits.MachinesMin));
        return turn.Step;
    }

    public FleetStep Step(FleetState state, object happened, DateTimeOffset now)
    {
        var turn = new FleetTurn(state, limits, now);
        switch (happened)
        {
            case FleetInputs.Tick:
                break;
            case FleetInputs.PlannerTold told:
                turn.State = turn.State with { Told = told, ToldAt = now };
                break;
            case FleetInputs.Listed listed:
                Listings.OnListed(turn, listed);
                break;
            case FleetInputs.ListFailed:
                turn.State = turn.State with { Lists = turn.State.Lists.Failed(now, limits) };
                break;
            case FleetInputs.PricesTold told:
                turn.State = turn.State with
                {
                    PriceLists = turn.State.PriceLists.Answered(now + limits.PricesEvery),
                    Prices = turn.State.Prices.SetItems(
                        told.Prices.Select(price => KeyValuePair.Create(price.Pool, price.PricePerHour))),
                };
                break;
            case FleetInputs.PricesFailed:
                turn.State = turn.State with { PriceLists = turn.State.PriceLists.Failed(now, limits) };
                break;
            case FleetInputs.OrderAnswered answered:
                OnOrder(turn, answered);
                break;
            case FleetInputs.TerminationAnswered answered:
                OnTermination(turn, answered);
                break;
            case FleetInputs.SizeAsked asked:
                turn.Note(new SizeChosen(now, Math.Clamp(asked.Size, 0, limits.MachinesMax)));
                // Nobody has to find out for how long the operator wants fewer.
                turn.State = turn.State with { SurplusSince = DateTimeOffset.MinValue };
                break;
            default:
                throw new InvariantException($"nobody hears {happened}");
        }

        Calls.MakeDue(turn);
        if (turn.State.Listing is not null && turn.State.Told is not null) Reconciling.Run(turn);
        return turn.Step;
    }

    private static void OnOrder(FleetTurn turn, FleetInputs.OrderAnswered answered)
    {
        var token = answered.Token;
        if (!turn.Journal.Orders.TryGetValue(token, out var order)) return;   // The list said it first.
        var attempt = turn.State.Launches.GetValueOrDefault(token, Attempt.None);
        switch (answered.Outcome)
        {
            case LaunchOutcome.Launched launched:
                turn.State = turn.State with { Launches = turn.State.Launches.Remove(token), Throttles = 0 };
                turn.Note(new LaunchAnswered(turn.Now, token, launched.Machine, launched.Pool));
                break;
            case LaunchOutcome.Refused refused:
                turn.State = turn.State with { Launches = turn.State.Launches.Remove(token), Throttles = 0 };
                var failures = turn.Journal.PoolOf(order.Pool).Refusals + 1;
                turn.Note(new LaunchRefused(
                    turn.Now, token, turn.Now + turn.Limits.BackOff(failures), refused.Reason));
                break;
            case LaunchOutcome.Throttled:
                var throttles = turn.State.Throttles + 1;
                turn.State = turn.State with
                {
                    Throttles = throttles,
                    QuietUntil = turn.Now + turn.Limits.BackOff(throttles),
                    Launches = turn.State.Launches.SetItem(token, attempt.Failed(turn.Now, turn.Limits)),
                };
                break;
            case LaunchOutcome.Unknown:
                turn.State = turn.State with
                {
                    Launches = turn.State.Launches.SetItem(token, attempt.Failed(turn.Now, turn.Limits)),
                };
                break;
            default:
                throw new InvariantException($"nobody hears {answered.Outcome}");
        }
    }

    private static void OnTermination(FleetTurn turn, FleetInputs.TerminationAnswered answered)
    {
        if (!turn.State.Terminations.TryGetValue(answered.Machine, out var attempt)) return;
        // A machine that is still listed after that is told again.
        var next = answered.Failure is null
            ? attempt.Answered(turn.Now + turn.Limits.ListLag)
            : attempt.Failed(turn.Now, turn.Limits);
        turn.State = turn.State with { Terminations = turn.State.Terminations.SetItem(answered.Machine, next) };
    }
}
