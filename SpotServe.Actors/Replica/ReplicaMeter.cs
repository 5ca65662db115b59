using SpotServe.Actors.Execution;
using SpotServe.Actors.Scheduling;
using static SpotServe.Actors.Replica.ReplicaControlProtocol;

namespace SpotServe.Actors.Replica;

/// <summary>Measures one replica: for one actor. Its gauges go when it is disposed.</summary>
/// <param name="now">Monotonic time, of the actor's own scheduler.</param>
internal sealed class ReplicaMeter(Func<TimeSpan> now) : IDisposable
{
    private long _suspensions;
    private long _recomputed;
    private long _prefixQueries;
    private long _prefixHits;

    /// <summary>The replica's word of itself, given every second.</summary>
    public void Show(ReplicaLoad load)
    {
        ReplicaMetrics.Live.Show(this, load);
        ReplicaMetrics.Suspensions.Add(load.Suspensions - _suspensions);
        ReplicaMetrics.Recomputed.Add(load.TokensRecomputed - _recomputed);
        ReplicaMetrics.PrefixQueries.Add(load.PrefixQueries - _prefixQueries);
        ReplicaMetrics.PrefixHits.Add(load.PrefixHits - _prefixHits);
        (_suspensions, _recomputed) = (load.Suspensions, load.TokensRecomputed);
        (_prefixQueries, _prefixHits) = (load.PrefixQueries, load.PrefixHits);
    }

    public void OnQueued(Sequence sequence) => sequence.Marks.QueuedAt = now();

    /// <param name="admitted">Sequences that got their first pages while the step was planned.</param>
    public void OnPlanned(StepPlan plan, ReadOnlySpan<Sequence> admitted)
    {
        ReplicaMetrics.StepTokens.Record(plan.TokenCount);
        foreach (var sequence in admitted)
        {
            var at = now();
            sequence.Marks.AdmittedAt = at;
            if (sequence.Marks.QueuedAt is { } queued) ReplicaMetrics.QueueTime.Record((at - queued).TotalSeconds);
        }
    }

    /// <summary>A sequence got a token, or ended.</summary>
    public void OnOutcome(in SequenceOutcome outcome)
    {
        var marks = outcome.Sequence.Marks;
        if (outcome.Token is not null && marks.FirstTokenAt is null)
        {
            marks.FirstTokenAt = now();
            if (marks.AdmittedAt is { } admitted)
                ReplicaMetrics.PrefillTime.Record((marks.FirstTokenAt.Value - admitted).TotalSeconds);
        }

        if (outcome.Finished is not null && marks.FirstTokenAt is { } first)
            ReplicaMetrics.DecodeTime.Record((now() - first).TotalSeconds);
    }

    public void Dispose() => ReplicaMetrics.Live.Remove(this);
}
