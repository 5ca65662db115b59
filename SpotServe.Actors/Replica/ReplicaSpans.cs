using System.Diagnostics;
using SpotServe.Actors.Scheduling;
using SpotServe.Actors.Tracing;

namespace SpotServe.Actors.Replica;

/// <summary>The spans of one replica's requests, those that have a trace: from when each came until it left, in
/// whatever way. For one actor.</summary>
internal sealed class ReplicaSpans(Epoch epoch, int replica)
{
    private readonly Dictionary<RequestId, Activity> _spans = [];

    /// <param name="generated">Tokens that it comes with.</param>
    /// <param name="how">"submitted" or "handed over".</param>
    public void Begin(RequestId id, GenerationSpec spec, int generated, string how)
    {
        if (_spans.ContainsKey(id) || Traces.Begin("replica", spec.TraceParent) is not { } span) return;
        span.SetTag("spotserve.request", id.Value);
        span.SetTag("spotserve.epoch", epoch.Value);
        span.SetTag("spotserve.replica", replica);
        span.SetTag("spotserve.tokens_before", generated);
        span.SetTag("spotserve.came", how);
        _spans.Add(id, span);
    }

    /// <summary>A sequence got a token, or ended.</summary>
    public void OnOutcome(in SequenceOutcome outcome)
    {
        if (_spans.Count == 0 || !_spans.TryGetValue(outcome.Sequence.Id, out var span)) return;
        if (outcome.Token is not null && !span.Events.Any()) span.AddEvent(new ActivityEvent("first token"));
        if (outcome.Error is { } error) End(outcome.Sequence.Id, error);
        else if (outcome.Finished is not null) End(outcome.Sequence.Id);
    }

    public void End(RequestId id, string? error = null)
    {
        if (_spans.Remove(id, out var span)) Traces.End(span, error);
    }

    /// <summary>All leave it at once.</summary>
    /// <param name="how">What became of them.</param>
    public void EndAll(string how, bool isLoss)
    {
        foreach (var span in _spans.Values)
        {
            span.SetTag("spotserve.left", how);
            Traces.End(span, isLoss ? how : null);
        }

        _spans.Clear();
    }
}
