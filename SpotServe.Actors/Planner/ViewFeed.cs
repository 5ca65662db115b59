using SpotServe.Actors.Cluster;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Planner;

/// <summary>
/// Shows the gateways how things stand: each gets a whole view once, and then what changes (docs/adr/0038). It is not
/// known here what arrives. A gateway that misses something finds out by the numbers, with the next change or within a
/// second, and asks for a whole view.
/// </summary>
internal sealed class ViewFeed(PlannerPost post)
{
    /// <summary>Number of the view that was sent last to each gateway.</summary>
    private readonly Dictionary<IAddress, long> _sent = [];
    private readonly Dictionary<IAddress, ViewVersion?> _known = [];
    private PlannerView? _current;

    /// <summary>A gateway has said which view it has, and is answered by <see cref="Answer"/>.</summary>
    public void OnRegistered(IAddress gateway, ViewVersion? known) => _known[gateway] = known;

    public void Publish(PlannerState state)
    {
        foreach (var gone in _sent.Keys.Except(state.Gateways).ToArray())
        {
            _sent.Remove(gone);
            _known.Remove(gone);
        }

        var before = _current;
        var next = PlannerMessages.View(state) with { Number = (before?.Number ?? 0) + 1 };
        var change = before is null ? null : ViewDifference.Between(before, next);
        if (change is not null && ViewDifference.IsEmpty(change, before!)) return;
        _current = next;
        foreach (var gateway in state.Gateways)
        {
            if (change is not null && _sent.GetValueOrDefault(gateway) == before!.Number) Send(gateway, change);
            else SendWhole(gateway);
        }
    }

    public void Answer(IAddress gateway, PlannerState state)
    {
        var before = _sent.GetValueOrDefault(gateway);
        Publish(state);
        if (_current is not { } current) return;
        var known = _known.GetValueOrDefault(gateway);
        // A planner's numbers are its own: of another term's view nothing can be told.
        if (known is null || known.Term != current.Term) SendWhole(gateway);
        else if (_sent.GetValueOrDefault(gateway) != current.Number) SendWhole(gateway);
        else if (before == current.Number) Send(gateway, Nothing(current));
    }

    /// <summary>That nothing is new, which a gateway that missed what was sent before understands as well.</summary>
    private static ViewChange Nothing(PlannerView view) => new(
        view.Term, view.Number, view.Number, view.Epoch, view.Phase, view.StatusLine, view.ServingEpoch);

    private void SendWhole(IAddress gateway)
    {
        _sent[gateway] = _current!.Number;
        post.SendView(ActorAddress.ActorOf(gateway), _current);
    }

    private void Send(IAddress gateway, ViewChange change)
    {
        _sent[gateway] = change.To;
        post.Send(ActorAddress.ActorOf(gateway), change);
    }
}
