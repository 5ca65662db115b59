using System.Collections.Immutable;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Tests.Planner.Core;

/// <summary>What must hold of every effect and every state of a core, whatever it hears. It goes by what was written
/// and sent, as those do that the core commands.</summary>
internal sealed class CoreLaws
{
    private readonly HashSet<(Epoch, DeviceId)> _connected = [];
    private readonly HashSet<(Epoch, int)> _started = [];
    private readonly HashSet<(Epoch, int)> _serve = [];
    private readonly HashSet<(Epoch, int)> _drained = [];
    private readonly HashSet<(Epoch, DeviceId)> _failed = [];
    private (Epoch Epoch, ImmutableArray<int> Replicas) _shown = (Epoch.None, []);
    private Epoch _over;
    private long _term;

    /// <summary>The fold of what was written.</summary>
    public JournalState Written { get; private set; } = JournalState.Empty;

    public List<IPlannerEvent> Entries { get; } = [];

    /// <summary>Something came in that the core may build on.</summary>
    public void Heard(object message)
    {
        switch (message)
        {
            case DeviceConnected connected:
                _connected.Add((connected.Epoch, connected.Device));
                break;
            case PlannerInputs.LeaderStarted started:
                _started.Add((started.Epoch, started.Replica));
                break;
            case HandoverProtocol.ReplicaServes serves:
                _serve.Add((serves.Epoch, serves.Replica));
                break;
            case DeviceFailed failed:
                _failed.Add((failed.Epoch, failed.Device));
                break;
        }
    }

    /// <summary>Another planner begins with what it reads.</summary>
    public void Recovers(JournalState read)
    {
        Law(
            Stored(read.Checkpoint(default)).SequenceEqual(Stored(Written.Checkpoint(default)))
                && read.Decided?.Epoch == Written.Decided?.Epoch
                && read.EntriesSinceCheckpoint == Written.EntriesSinceCheckpoint,
            "what is read from the journal is what was written", read);
        Written = read;
        _term = read.Term;
    }

    /// <param name="before">The state that the step began with.</param>
    /// <param name="after">The one that it leads to.</param>
    public void Check(PlannerState before, PlannerState after, PlannerEffect effect)
    {
        switch (effect)
        {
            case PlannerEffect.Persist persist:
                OnWritten(after, persist.Event);
                break;
            case PlannerEffect.Publish or PlannerEffect.Show:
                OnShown(after);
                break;
            case PlannerEffect.Connect connect:
                ReachesOneThatIsThere(before, after, connect.To, connect);
                IsDecided(connect.Epoch, connect.Term, connect);
                break;
            case PlannerEffect.BeginHandover begin:
                ReachesOneThatIsThere(before, after, begin.To, begin);
                Law(begin.NewEpoch == Written.Epoch, "hand-overs are to the newest layout that is written", begin);
                break;
            case PlannerEffect.Send { To: var to, Message: var message }:
                ReachesOneThatIsThere(before, after, to, message);
                OnSent(after, message);
                break;
        }
    }

    /// <summary>The journal's fold is the state's, and what the state holds is of things that are there.</summary>
    public void Check(PlannerState state)
    {
        var journal = state.Journal;
        Law(
            journal.Timeline.SequenceEqual(Written.Timeline)
                && journal with { Timeline = Written.Timeline } == Written,
            "the fold of what is written is the journal's state", journal);
        var nodes = state.Nodes;
        Law(state.Names.SequenceEqual(nodes.Keys), "the names are the nodes'", string.Join(", ", state.Names));
        Law(state.Accused.Keys.All(nodes.ContainsKey), "only nodes that are there are accused", state.Accused);
        Law(state.LeftOut.Count <= nodes.Count + 8, "few nodes are left out", state.LeftOut);
        Law(state.Leaving.Count <= nodes.Count + 8, "few nodes leave", state.Leaving);
        Law(
            state.Demand.IsEmpty || state.Demand.Values.Max(one => one.At) - state.Demand.Values.Min(one => one.At)
                < TimeSpan.FromSeconds(5),
            "demand is of gateways that report", state.Demand.Count);
        Law(journal.Timeline.Count <= 100, "the timeline is bounded", journal.Timeline.Count);
        Law(state.Separations.Count <= nodes.Count * nodes.Count, "separations are of nodes", state.Separations);
        var layout = (state.Phase as ChangingPhase)?.Change.Layout;
        if (state.Phase is Connecting connecting)
        {
            Law(
                connecting.Leaders.Keys.All(replica => replica < layout!.Degrees.Replicas),
                "leaders are of the layout", connecting);
        }

        if (state.Phase is Asking asking)
        {
            Law(
                asking.Caches.Keys.All(replica => state.Active?.Layout.Degrees.Replicas > replica),
                "caches are of replicas", asking);
            Law(asking.Holdings.Keys.All(nodes.ContainsKey), "holdings are of nodes that are there", asking);
        }
        if (state.Phase is GettingReady)
        {
            Law(
                !state.Leaving.Keys.Any(layout!.Uses), "no layout gets ready on a node under notice",
                string.Join(", ", state.Leaving.Keys));
            Law(
                layout.Placement.All(device => nodes.ContainsKey(device.Node)),
                "no layout gets ready on a node that is gone", layout);
        }

        if (state.Active is not { } active) return;
        Law(active.Loads.Keys.All(active.Replicas.ContainsKey), "loads are of replicas that serve", active.Loads);
        Law(
            active.Replicas.Keys.All(replica =>
                active.Layout.PositionsOf(replica).All(at => nodes.ContainsKey(active.Layout.DeviceAt(at).Node))),
            "replicas that serve have all their nodes", active);
    }

    private static byte[] Stored(PlannerCheckpoint all) => StoredEvents.Schema.Write(all);

    private static void Law(bool holds, string law, object? what) =>
        Assert.True(holds, $"law broken: {law}; {what}");

    private void OnWritten(PlannerState after, IPlannerEvent happened)
    {
        var (epoch, serving) = (Written.Epoch, Written.Serving);
        switch (happened)
        {
            case PlannerStarted started:
                Law(started.Term == _term + 1, "each planner has the next term", started);
                _term = started.Term;
                break;
            case LayoutDecided decided:
                Law(decided.Epoch == epoch.Next, "each layout is of the next epoch", decided);
                Law(!after.Leaving.Keys.Any(decided.Layout.Uses), "no layout is on a node under notice", decided);
                break;
            case CutOverBegun begun:
                Law(begun.Epoch == epoch, "what is cut over to was decided", begun);
                break;
            case LayoutActivated activated:
                Law(activated.Epoch == epoch && Written.Decided is not null, "what serves was decided", activated);
                var layout = Written.Decided!.Layout;
                Law(
                    layout.Placement.All(device => _connected.Contains((epoch, device)))
                        && Enumerable.Range(0, layout.Degrees.Replicas).All(r => _started.Contains((epoch, r))),
                    "what serves is connected and has its leaders", activated);
                var origin = (after.Phase as ChangingPhase)?.Change.Decision.Origin;
                if (origin is not null && serving is null)
                {
                    Law(
                        Enumerable.Range(0, layout.Degrees.Replicas)
                            .All(r => origin.Expects[r].IsEmpty || _serve.Contains((epoch, r))),
                        "the old layout is over once the new one serves with what it was handed", activated);
                }

                break;
        }

        Written = Written.Apply(happened);
        Entries.Add(happened);
        Law(Written.Epoch >= epoch, "an epoch never decreases", happened);
    }

    /// <summary>Gateways are shown who serves: what is written to serve, or what served last until the new one
    /// does.</summary>
    private void OnShown(PlannerState state)
    {
        if (state.Active is not { IsServing: true } active)
        {
            // What is being cut over from and not shown any more does not come back.
            if (Written.Serving is null) _over = _shown.Epoch;
            if (state.Claim is null) _shown = (_shown.Epoch, []);
            return;
        }

        Law(active.Epoch >= _shown.Epoch, "an older epoch is not shown after a newer one", active.Epoch);
        Law(
            Written.Serving?.Epoch == active.Epoch || (Written.Serving is null && active.Epoch > _over),
            "only what is written to serve is shown, or what is being cut over from", active.Epoch);
        Law(
            active.Epoch == _shown.Epoch || _shown.Replicas.All(replica => _drained.Contains((_shown.Epoch, replica))),
            "a new layout is shown when the old replicas were told to stop or are lost", active.Epoch);
        _shown = (active.Epoch, [.. active.Replicas.Keys]);
    }

    private void OnSent(PlannerState after, object message)
    {
        if (message is IPlannerCommand { Term: var term })
            Law(term == Written.Term, "commands carry the term that is written", message);
        switch (message)
        {
            case PreparePosition order:
                IsDecided(order.Epoch, order.Term, order);
                break;
            case ReleasePosition release:
                OnRelease(after, release);
                break;
            case ReplicaControlProtocol.Drain drain:
                Law(Written.Serving is null, "a replica is told to stop once that is written", drain);
                _drained.UnionWith(_shown.Replicas.Select(replica => (drain.Epoch, replica)));
                break;
            case HandoverProtocol.ServeNow serve:
                Law(serve.Epoch == Written.Epoch && Written.Serving is null, "only the newest is told to serve", serve);
                break;
        }
    }

    private void OnRelease(PlannerState after, ReleasePosition release)
    {
        if (_failed.Contains((release.Epoch, release.Device))) return;
        Law(
            after.Claim?.Epoch != release.Epoch, "what may serve is not released before its devices were heard",
            release);
        Law(
            after.Active is not { } active || active.Epoch != release.Epoch || !active.IsAlive(release.Device),
            "what serves is not released before its successor serves", release);
    }

    private void IsDecided(Epoch epoch, long term, object what)
    {
        Law(Written.Decided?.Epoch == epoch, "a layout is written before it is acted on", what);
        Law(term == Written.Term, "commands carry the term that is written", what);
    }

    private static void ReachesOneThatIsThere(PlannerState before, PlannerState after, IAddress to, object what)
    {
        if (to is not CoreAddress { Node: { } node } || what is NodeRefused) return;
        // A step may find a node to be gone that it sent something to before.
        var isThere = before.Nodes.ContainsKey(node) || after.Nodes.ContainsKey(node);
        Law(isThere, "nothing is sent to one that is gone", what);
    }
}
