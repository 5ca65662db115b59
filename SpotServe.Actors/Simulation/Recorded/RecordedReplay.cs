using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>What happened in a recorded cluster, played through the simulated one: its machines come, are given notice
/// and go at the recorded seconds, its requests come with the recorded lengths; what the planner makes of that, and
/// when each is answered, is the simulation's.</summary>
public static class RecordedReplay
{
    /// <param name="file">For messages.</param>
    /// <param name="progress">Hears the simulated second now and then; null for nobody.</param>
    /// <exception cref="TraceException">The recording has too little in it; says what is missing.</exception>
    public static ReplayOutcome Run(string file, Recording recording, Action<double>? progress = null)
    {
        var requests = new RecordedRequests(recording);
        var changes = new RecordedChanges(recording);
        var model = recording.Entries.OfType<RecordedEntry.ModelKnown>().FirstOrDefault()?.Model
            ?? throw new TraceException(file, 0, "no node ever joined", "record a cluster with nodes");
        var inputs = ImmutableArray.CreateBuilder<PlanningInputs>();
        var setup = Setup(recording, model, changes, RecordedTimes.Of(file, requests, changes)) with
        {
            Decided = (planned, _) => inputs.Add(planned),
        };
        var time = new VirtualTime();
        var desk = new RequestDesk(time, setup);
        var asked = requests.Arrivals.Select((arrival, index) => new SimulatedRequest(index, arrival)).ToArray();
        desk.Expect(asked);
        Schedule(time, desk.Cluster, recording);
        time.At(0, desk.Cluster.Start);
        time.RunUntil(recording.EndSeconds, progress);
        var done = asked.Where(request => request.CompletedAt is not null).ToList();
        return new ReplayOutcome(
            recording.EndSeconds,
            new ReplaySide(
                [.. requests.Answered.Select(answer => new CompletedRequest(answer.Arrived, answer.Last))],
                requests.Answered.Sum(answer => (long)answer.OutputTokens),
                [.. changes.Layouts.Select(decided => decided.Layout)],
                changes.Served),
            new ReplaySide(
                [.. done.Select(request => new CompletedRequest(request.ArrivedAt, request.CompletedAt!.Value))],
                done.Sum(request => (long)request.OutputTokens),
                [.. desk.Cluster.Record.Decisions.Select(decision => decision.Decided.Layout)],
                [.. desk.Cluster.Record.Timeline.Where(change => change.Outcome == ReconfigurationRecord.Served)]),
            recording.Notes)
        {
            Inputs = inputs.ToImmutable(),
        };
    }

    private static LiveSetup Setup(
        Recording recording, ModelSpec model, RecordedChanges changes, RecordedTimes times)
    {
        var planner = recording.Begun.Planner;
        var rates = recording.Entries.OfType<RecordedEntry.NodeSeen>().Select(seen => seen.Node.Rates)
            .OfType<Execution.SourceRates>().ToList();
        var links = planner.Links with
        {
            InterNode = planner.Stated.Peer ?? Median(rates.Select(rate => rate.Peer)) ?? planner.Links.InterNode,
            Disk = planner.Stated.Disk ?? Median(rates.Select(rate => rate.Disk)) ?? planner.Links.Disk,
        };
        var usual = new LiveSetup(
            "replay", model, times, links,
            machine => throw new InvariantException($"{machine} has no offer: it says of itself what it is"));
        return usual with
        {
            Planner = planner,
            // A recording begins before its planner does, which waits for all nodes from its own beginning on: on a
            // loaded machine that is a minute later.
            BeginSeconds = recording.Entries.OfType<RecordedEntry.NodeSeen>().First().Seconds,
            // The recording says when the planner knew of a loss.
            DetectionSeconds = 0,
            ConnectSeconds = changes.Median(PlannerPhase.PreCopying) ?? usual.ConnectSeconds,
            HandoverSeconds = changes.Median(PlannerPhase.CuttingOver) ?? usual.HandoverSeconds,
        };
    }

    private static void Schedule(VirtualTime time, LiveCluster cluster, Recording recording)
    {
        var known = new HashSet<string>(StringComparer.Ordinal);
        var deadlines = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var entry in recording.Entries)
        {
            switch (entry)
            {
                case RecordedEntry.NodeSeen { Node: var node }:
                    if (!known.Add(node.Node)) time.At(entry.Seconds, () => cluster.Update(node));
                    else if (!node.Devices.IsEmpty) time.At(entry.Seconds, () => cluster.Join(node, KindOf(node)));
                    break;
                case RecordedEntry.NodeNoticed { Node: var node, Deadline: var deadline }:
                    if (!deadlines.TryAdd(node, deadline)) break;
                    time.At(entry.Seconds, () => cluster.Notice(node, deadline));
                    time.At(Math.Max(entry.Seconds, deadline), () => cluster.Lose(node));
                    break;
                // One with notice goes when the planner needs it no more: that is for the simulation to find.
                case RecordedEntry.NodeGone { Node: var node } when !deadlines.ContainsKey(node):
                    time.At(entry.Seconds, () => cluster.Lose(node));
                    known.Remove(node);
                    break;
                case RecordedEntry.LayoutAsked { Wanted: var wanted }:
                    time.At(entry.Seconds, () => cluster.Ask(
                        new PlannerInputs.LayoutAsked(wanted, GatewayAddress.One)));
                    break;
                case RecordedEntry.ObjectiveAsked { Objective: var objective }:
                    time.At(entry.Seconds, () => cluster.Ask(
                        new PlannerInputs.ObjectiveAsked(objective, GatewayAddress.One)));
                    break;
                default:
                    break;
            }
        }
    }

    private static DeviceKind KindOf(NodeInfo node) => DeviceKinds.InstancesOf([node]).First().Kind;

    private static double? Median(IEnumerable<double?> rates)
    {
        var known = rates.OfType<double>().Where(rate => rate > 0).Order().ToList();
        return known.Count == 0 ? null : known[known.Count / 2];
    }
}
