using System.Collections.Immutable;
using SpotServe.Actors;
using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Planning;

/// <summary>What a replayed plan did.</summary>
/// <param name="Finish">When each step was done, in the order of the plan.</param>
/// <param name="Duration">When the new layout served.</param>
/// <param name="PeakBytes">Most bytes that each device held at once.</param>
/// <param name="Violations">Laws that were broken, in a person's words; empty for a sound plan.</param>
internal sealed record MigrationReplay(
    ImmutableArray<TimeSpan> Finish,
    TimeSpan Duration,
    ImmutableDictionary<DeviceId, long> PeakBytes,
    ImmutableArray<string> Violations);

/// <summary>
/// Runs a plan's steps on simulated links, knowing nothing of how they were chosen: a step begins when those before it
/// are confirmed and its links are at its turn. Checks what a migration must hold to: slices are read where they are,
/// arrive once, and are freed after their last reader; memory stays within the budgets; in the end all needs are met.
/// </summary>
internal static class MigrationSimulator
{
    /// <param name="actual">Rates of the replay, if they differ from those that the plan reckoned with.</param>
    public static MigrationReplay Replay(MigrationProblem problem, MigrationPlan plan, LinkRates? actual = null)
    {
        var times = new LinkReplay(node => actual ?? problem.LinksFor(node), problem.CutOverOverhead).Run(plan.Steps);
        var memory = new MemoryReplay(problem);
        // At one instant: what ends is there, then what is freed is gone, then what begins takes its room.
        var events = plan.Steps.SelectMany(step => Events(step, times[step.Id]))
            .OrderBy(e => e.At).ThenBy(e => e.Order).ThenBy(e => e.Step.Id);
        foreach (var (_, order, step) in events)
        {
            switch (order)
            {
                case EventOrder.End: memory.End(step); break;
                case EventOrder.Free: memory.Free(step); break;
                case EventOrder.Begin: memory.Begin(step); break;
                default: throw new System.Diagnostics.UnreachableException();
            }
        }

        memory.RequireNeeds(plan.Target);
        var serve = plan.Steps.OfType<MigrationStep.Serve>().Single();
        return new MigrationReplay(
            [.. times.Select(time => PlanDraft.Time(time.Finish))],
            PlanDraft.Time(times[serve.Id].Finish),
            memory.Peaks(),
            memory.Violations());
    }

    private enum EventOrder
    {
        End,
        Free,
        Begin,
    }

    private static IEnumerable<(double At, EventOrder Order, MigrationStep Step)> Events(
        MigrationStep step, (double Start, double Finish) time)
    {
        if (step is MigrationStep.FreeWeights or MigrationStep.FreeCache)
        {
            yield return (time.Start, EventOrder.Free, step);
        }
        else if (step is MigrationStep.CopyWeights or MigrationStep.CopyCache)
        {
            yield return (time.Start, EventOrder.Begin, step);
            yield return (time.Finish, EventOrder.End, step);
        }
    }
}

/// <summary>Event-driven links: a queue per link in the order of the plan, a step runs when it heads all of its
/// queues.</summary>
internal sealed class LinkReplay(Func<string, LinkRates> ratesOf, TimeSpan cutOverOverhead)
{
    private readonly Dictionary<(string Node, NodeLink Kind), Queue<int>> _queues = [];

    public (double Start, double Finish)[] Run(ImmutableArray<MigrationStep> steps)
    {
        var times = new (double Start, double Finish)[steps.Length];
        var waits = steps.Select(step => step.After.Length).ToArray();
        var followers = new List<int>[steps.Length];
        for (var i = 0; i < steps.Length; i++) followers[i] = [];
        var links = steps.Select(Links).ToArray();
        foreach (var step in steps)
        {
            Invariant.Holds(times.Length > step.Id && steps[step.Id] == step);
            foreach (var before in step.After) followers[before].Add(step.Id);
            foreach (var link in links[step.Id])
            {
                if (!_queues.TryGetValue(link, out var queue)) _queues[link] = queue = new Queue<int>();
                queue.Enqueue(step.Id);
            }
        }

        var running = new PriorityQueue<int, (double, int)>();
        var started = new bool[steps.Length];
        foreach (var step in steps) TryStart(step.Id, 0);
        var done = 0;
        while (running.TryDequeue(out var id, out var at))
        {
            done++;
            var (now, touched) = (at.Item1, new SortedSet<int>(followers[id]));
            foreach (var link in links[id])
            {
                Invariant.Holds(_queues[link].Dequeue() == id);
                if (_queues[link].TryPeek(out var head)) touched.Add(head);
            }

            foreach (var follower in followers[id]) waits[follower]--;
            foreach (var next in touched) TryStart(next, now);
        }

        // Ids only point backwards, so every step gets its turn.
        Invariant.Holds(done == steps.Length);
        return times;

        void TryStart(int id, double now)
        {
            if (started[id] || waits[id] > 0 || links[id].Any(link => _queues[link].Peek() != id)) return;
            started[id] = true;
            times[id] = (now, now + Seconds(steps[id]));
            running.Enqueue(id, (times[id].Finish, id));
        }
    }

    private double Seconds(MigrationStep step) => step switch
    {
        MigrationStep.CopyWeights { From.Kind: SourceKind.Peer } copy => Peer(copy.From.Device, copy.To, copy.Bytes),
        MigrationStep.CopyWeights { From.Kind: SourceKind.Disk } copy => Storage(NodeLink.Disk, copy.To, copy.Bytes),
        MigrationStep.CopyWeights copy => Storage(NodeLink.Store, copy.To, copy.Bytes),
        MigrationStep.CopyCache copy => Peer(copy.From, copy.To, copy.Bytes),
        MigrationStep.Serve => cutOverOverhead.TotalSeconds,
        _ => 0,
    };

    private double Peer(DeviceId from, DeviceId to, long bytes) =>
        LinkRates.SecondsBetween(ratesOf(from.Node), ratesOf(to.Node), from.Node == to.Node, bytes);

    private double Storage(NodeLink link, DeviceId to, long bytes)
    {
        var rates = ratesOf(to.Node);
        return rates.LatencySeconds + (bytes / rates.RateOf(link));
    }

    private static (string Node, NodeLink Kind)[] Links(MigrationStep step) => step switch
    {
        MigrationStep.CopyWeights { From.Kind: SourceKind.Peer } copy => Between(copy.From.Device, copy.To),
        MigrationStep.CopyWeights { From.Kind: SourceKind.Disk } copy => [(copy.To.Node, NodeLink.Disk)],
        MigrationStep.CopyWeights copy => [(copy.To.Node, NodeLink.Store)],
        MigrationStep.CopyCache copy => Between(copy.From, copy.To),
        _ => [],
    };

    private static (string, NodeLink)[] Between(DeviceId from, DeviceId to) => from.Node == to.Node
        ? [(to.Node, NodeLink.Within)]
        : [(from.Node, NodeLink.Out), (to.Node, NodeLink.In)];
}
