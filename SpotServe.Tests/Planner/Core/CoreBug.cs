using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Replica;

namespace SpotServe.Tests.Planner.Core;

/// <summary>Something that a core could do wrong.</summary>
/// <param name="Law">Part of the law that has to notice it.</param>
/// <param name="Spoil">Makes of a step what a core with the bug would.</param>
internal sealed record CoreBug(
    string Name,
    string Law,
    CoreBug.Spoiler Spoil)
{
    public delegate (PlannerState State, ImmutableArray<PlannerEffect> Effects) Spoiler(
        PlannerState before, PlannerState after, ImmutableArray<PlannerEffect> effects);

    public static ImmutableArray<CoreBug> All { get; } =
    [
        InEffects("acts before it writes", "written before it is acted on", effects =>
            [.. effects.Where(effect => !IsWrite<PlannerEvents.LayoutDecided>(effect)),
                .. effects.Where(IsWrite<PlannerEvents.LayoutDecided>)]),
        InEffects("stops replicas before it writes so", "told to stop once that is written", effects =>
            [.. effects.Where(effect => !IsWrite<PlannerEvents.CutOverBegun>(effect)),
                .. effects.Where(IsWrite<PlannerEvents.CutOverBegun>)]),
        InEffects("forgets to write the timeline", "the fold of what is written", effects =>
            effects.RemoveAll(IsWrite<PlannerEvents.ReconfigurationEnded>)),
        InEffects("shows the new layout before it is written", "written to serve is shown", effects =>
            [.. effects.Where(effect => !IsWrite<PlannerEvents.LayoutActivated>(effect)),
                .. effects.Where(IsWrite<PlannerEvents.LayoutActivated>)]),
        InEffects("does not stop the old replicas", "when the old replicas were told to stop", effects =>
            effects.RemoveAll(effect => effect is PlannerEffect.Send { Message: ReplicaControlProtocol.Drain })),
        InEffects("commands with an old term", "commands carry the term", effects =>
            [.. effects.Select(effect => effect is PlannerEffect.Send { Message: ClusterProtocol.GetHoldings ask } send
                ? send with { Message = ask with { Term = ask.Term - 1 } }
                : effect)]),
        InBoth("releases what serves", "not released before its successor serves", (before, after, effects) =>
            after is { Phase: HandingOver, Active: { } active }
                && active.Layout.Placement.FirstOrDefault(active.IsAlive) is { Node: { } name } device
                && after.Nodes.TryGetValue(name, out var node)
                ? (after, effects.Add(new PlannerEffect.Send(
                    node.Address,
                    new ClusterProtocol.ReleasePosition(active.Epoch, device, false) { Term = after.Journal.Term })))
                : (after, effects)),
        InBoth("sends to one that is gone", "nothing is sent to one that is gone", (_, after, effects) =>
            after.Round > 3
                ? (after, effects.Add(new PlannerEffect.Send(
                    new CoreAddress("node", "gone#1"),
                    new ClusterProtocol.GetHoldings(1) { Term = after.Journal.Term })))
                : (after, effects)),
        InState("uses a node under notice", "on a node under notice", after => after.Phase is Preparing preparing
            ? after with
            {
                Leaving = after.Leaving.SetItem(
                    preparing.Change.Layout.Placement[0].Node, new Departure(DateTimeOffset.MaxValue, true)),
            }
            : after),
        InState("accuses the unknown", "nodes that are there are accused", after => after with
        {
            Accused = after.Accused.SetItem("nobody", Signs.Word),
        }),
        InState("does not wait for links", "connected and has its leaders", after => after.Phase is Connecting phase
            ? after with { Phase = phase with { WaitingFor = [] } }
            : after),
        InState("does not wait for hand-overs", "serves with what it was handed", after =>
            after.Phase is CuttingOver phase ? after with { Phase = phase with { NotServing = [] } } : after),
        InState("never asks again", "no phase lasts for ever", after => after.Phase is Asking phase
            ? after with { Phase = phase with { RepeatAt = Never, Since = Never } }
            : after),
        InState("waits for all expected devices", "something serves soon", after => after.Phase is Gathering
            ? after with { Phase = new Gathering(Never) }
            : after),
        InState("waits for ever", "no phase lasts for ever", after => after.Phase is GettingReady phase
            ? after with { Phase = phase with { Limit = Never } }
            : after),
    ];

    private static DateTimeOffset Never => DateTimeOffset.UnixEpoch.AddYears(100);

    public override string ToString() => Name;

    private static CoreBug InEffects(
        string name, string law, Func<ImmutableArray<PlannerEffect>, ImmutableArray<PlannerEffect>> spoil) =>
        new(name, law, (_, after, effects) => (after, spoil(effects)));

    private static CoreBug InState(string name, string law, Func<PlannerState, PlannerState> spoil) =>
        new(name, law, (_, after, effects) => (spoil(after), effects));

    private static CoreBug InBoth(
        string name, string law, Spoiler spoil) => new(name, law, spoil);

    private static bool IsWrite<T>(PlannerEffect effect)
        where T : PlannerEvents.IPlannerEvent => effect is PlannerEffect.Persist { Event: T };
}
