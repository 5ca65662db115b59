using SpotServe.Actors.Cluster;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Planner;

/// <summary>
/// Measures one planner by the states that it goes through and by what it writes; what a recovering planner reads is
/// not measured again. For one actor. Its gauges go when it is disposed.
/// </summary>
internal sealed class PlannerMeter : IDisposable
{
    private Causes _sinceDecision;
    private (Epoch Epoch, Causes Causes) _decided;

    /// <summary>What happened since the last decision; the first of them by this order names the cause.</summary>
    [Flags]
    private enum Causes
    {
        None = 0,
        Notice = 1,
        Loss = 2,
        Join = 4,
        Wish = 8,
    }

    /// <param name="before">Null for the first state.</param>
    public void OnStep(PlannerState? before, PlannerState after)
    {
        if (ReferenceEquals(before, after)) return;
        if (before is not null) Compare(before, after);
        PlannerMetrics.Live.Show(this, after);
    }

    public void OnWritten(IPlannerEvent written)
    {
        switch (written)
        {
            case LayoutDecided decided:
                _decided = (decided.Epoch, _sinceDecision);
                _sinceDecision = Causes.None;
                break;
            case ReconfigurationEnded ended:
                Record(ended.Record);
                break;
        }
    }

    public void Dispose() => PlannerMetrics.Live.Remove(this);

    private void Compare(PlannerState before, PlannerState after)
    {
        if (!ReferenceEquals(before.Leaving, after.Leaving))
        {
            var told = after.Leaving.Count(node =>
                node.Value.IsTold && before.Leaving.GetValueOrDefault(node.Key) is not { IsTold: true });
            PlannerMetrics.Notices.Add(told);
            if (after.Leaving.Keys.Any(node => !before.Leaving.ContainsKey(node))) _sinceDecision |= Causes.Notice;
        }

        // Each report of a node makes another dictionary; only joins and losses make one of another size.
        if (before.Nodes.Count != after.Nodes.Count)
        {
            var lost = before.Nodes.Keys.Count(
                node => !after.Nodes.ContainsKey(node) && !before.Leaving.ContainsKey(node));
            PlannerMetrics.Losses.Add(lost);
            if (lost > 0) _sinceDecision |= Causes.Loss;
            if (after.Nodes.Keys.Any(node => !before.Nodes.ContainsKey(node))) _sinceDecision |= Causes.Join;
        }

        if (before.Wanted != after.Wanted || before.Objective != after.Objective) _sinceDecision |= Causes.Wish;
    }

    private void Record(ReconfigurationRecord record)
    {
        var isServing = record.Outcome == ReconfigurationRecord.Served;
        PlannerMetrics.Reconfigurations.Add(
            1, new("cause", CauseOf(record)), new("outcome", isServing ? "serving" : "given_up"));
        foreach (var phase in record.Phases)
            PlannerMetrics.PhaseSeconds.Record(phase.Duration.TotalSeconds, Tag("phase", phase.Name));
        if (record.Pause is { } pause) PlannerMetrics.PauseSeconds.Record(pause.TotalSeconds);
        Add("weights", "memory", record.Weights.Reused);
        Add("weights", "peer", record.Weights.Peers);
        Add("weights", "folder", record.Weights.Folder);
        Add("pages", "peer", record.PageBytes);
        PlannerMetrics.Sequences.Add(record.Sequences, Tag("result", "handed_over"));
        PlannerMetrics.Sequences.Add(record.NotHandedOver, Tag("result", "computed_anew"));
    }

    private string CauseOf(ReconfigurationRecord record)
    {
        if (record.From is null) return "start";
        var causes = _decided.Epoch == record.Epoch ? _decided.Causes : Causes.None;
        return causes.HasFlag(Causes.Notice) ? "notice"
            : causes.HasFlag(Causes.Loss) ? "loss"
            : causes.HasFlag(Causes.Join) ? "join"
            : causes.HasFlag(Causes.Wish) ? "wish"
            : "other";
    }

    private static void Add(string kind, string source, long bytes) =>
        PlannerMetrics.Bytes.Add(bytes, Tag("kind", kind), Tag("source", source));

    private static KeyValuePair<string, object?> Tag(string name, string value) => new(name, value);
}
