using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Planner;

/// <summary>
/// What is known of a reconfiguration only after it: requests that had lost their replica go on once the new layout
/// serves, and are counted by the replicas that they go on at. Their reports are sums, so that they may be lost and
/// repeated. Once nothing more is expected the sum is written into the reconfiguration's line in the timeline.
/// </summary>
internal sealed record Aftermath
{
    /// <summary>Reports are kept for this many pairs of a replica and an epoch that was lost.</summary>
    private const int ReportsMax = 256;

    private ImmutableSortedDictionary<(Epoch LostIn, Epoch In, int Replica), Told> _told =
        ImmutableSortedDictionary<(Epoch LostIn, Epoch In, int Replica), Told>.Empty;

    /// <param name="since">The newest epoch that was decided before this planner began.</param>
    public Aftermath(Epoch since) => (Since, ToldUpTo) = (since, since);

    /// <summary>The newest reconfiguration whose story was told; what went on before this planner is not told
    /// again.</summary>
    public Epoch ToldUpTo { get; private init; }

    /// <summary>The latest reconfiguration that a layout served after, and of which all is known.</summary>
    public ReconfigurationRecord? Latest { get; private init; }

    private Epoch Since { get; }

    public static void OnReplicaLoad(Turn turn, ReplicaControlProtocol.ReplicaLoad load)
    {
        if (load.Resumed.IsEmpty) return;
        var state = turn.State;
        turn.State = state with { Aftermath = state.Aftermath.With(load, turn.Now) };
    }

    /// <summary>Writes what will not change any more, and shows it.</summary>
    public static void OnTick(Turn turn)
    {
        var aftermath = turn.State.Aftermath;
        foreach (var record in turn.State.Journal.Timeline.Where(record => record.Epoch > aftermath.ToldUpTo))
        {
            if (!IsSettled(turn, record)) return;
            var full = aftermath.Complete(record, turn.State.Journal.Timeline);
            if (full.Resumed is { } resumed && resumed != record.Resumed)
                turn.Note(new PlannerEvents.RequestsResumed(record.Epoch, resumed));
            var hasServed = record.Outcome == ReconfigurationRecord.Served;
            if (hasServed && record.From is not null) turn.Info("{Story}", full.Story());
            aftermath = aftermath with
            {
                ToldUpTo = record.Epoch,
                Latest = hasServed ? full : aftermath.Latest,
            };
            turn.State = turn.State with { Aftermath = aftermath };
            turn.Publish();
        }
    }

    /// <summary>A record with what is known of it by now.</summary>
    public ReconfigurationRecord Complete(
        ReconfigurationRecord record, ImmutableList<ReconfigurationRecord> timeline)
    {
        var told = _told.Where(entry => Concerns(entry.Key, record, timeline)).ToList();
        var requests = Math.Max(record.Resumed?.Requests ?? 0, told.Sum(entry => entry.Value.Report.Resumed));
        if (requests == 0) return record;
        var first = told.Where(entry => entry.Value.FirstAt is not null).Min(entry => entry.Value.FirstAt);
        var after = record.Epoch > Since && first is { } at ? at - record.StartedAt : (TimeSpan?)null;
        return record with
        {
            Resumed = new Resumption(
                requests,
                Math.Max(record.Resumed?.Tokens ?? 0, told.Sum(entry => entry.Value.Report.Tokens)),
                record.Resumed?.After ?? after),
        };
    }

    /// <summary>Whether nothing more is expected of it: no loss led to it, or a while has passed in which nothing
    /// changed.</summary>
    private static bool IsSettled(Turn turn, ReconfigurationRecord record)
    {
        var (state, limits) = (turn.State, turn.Limits);
        if (record.Outcome != ReconfigurationRecord.Served) return true;
        var isLoss = record.NotHandedOver > 0
            || record.Gone.Any(node => node.By is not (NoticedBy.Notice or NoticedBy.Operator))
            || record is { Sequences: 0, From: not null };
        if (!isLoss) return true;
        var told = state.Aftermath._told
            .Where(entry => Concerns(entry.Key, record, state.Journal.Timeline))
            .ToList();
        var ended = record.StartedAt + record.Phases.Aggregate(TimeSpan.Zero, (sum, phase) => sum + phase.Duration);
        var changed = told.Select(entry => entry.Value.ChangedAt).Append(ended).Max();
        var waits = told.Any(entry => entry.Key.In == state.Active?.Epoch && entry.Value.Report.Waiting > 0);
        return turn.Now >= changed + (waits ? limits.AftermathMax : limits.AftermathQuiet);
    }

    /// <summary>Requests that lost their replica in an epoch go on with the next layout that serves, or at other
    /// replicas of that epoch until then.</summary>
    private static bool Concerns(
        (Epoch LostIn, Epoch In, int Replica) key,
        ReconfigurationRecord record,
        ImmutableList<ReconfigurationRecord> timeline)
    {
        if (key.LostIn == Epoch.None) return record.Epoch == key.In;
        if (record.Epoch <= key.LostIn) return false;
        var next = timeline.Find(known =>
            known.Epoch > key.LostIn && known.Outcome == ReconfigurationRecord.Served);
        return next is null ? record.Outcome == ReconfigurationRecord.UnderWay : next.Epoch == record.Epoch;
    }

    private Aftermath With(ReplicaControlProtocol.ReplicaLoad load, DateTimeOffset now)
    {
        var told = _told;
        foreach (var report in load.Resumed)
        {
            var key = (report.LostIn, load.Epoch, load.Replica);
            var known = told.GetValueOrDefault(key);
            // Reports may overtake each other.
            if (known is not null && known.Report.Resumed > report.Resumed) continue;
            if (known?.Report == report) continue;
            told = told.SetItem(key, new Told(
                report, known?.FirstAt ?? (report.Resumed > 0 ? now : null), now));
        }

        while (told.Count > ReportsMax) told = told.Remove(told.Keys.First());
        return this with { _told = told };
    }

    /// <param name="FirstAt">When the first request was heard to go on.</param>
    /// <param name="ChangedAt">When this was told first.</param>
    private sealed record Told(
        ReplicaControlProtocol.ResumedRequests Report, DateTimeOffset? FirstAt, DateTimeOffset ChangedAt);
}
