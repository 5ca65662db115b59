using static SpotServe.Actors.Requests.RequestEvents;

namespace SpotServe.Actors.Requests;

/// <summary>
/// Measures one request by what its entity writes into the journal: an event is measured once, by the entity that wrote
/// it, and not again where another one reads it. For one entity.
/// </summary>
internal sealed class RequestMeter(TimeProvider clock)
{
    /// <summary>When the last tokens were shown; null before, and after the entity has moved.</summary>
    private long? _shownAt;

    /// <param name="happened">Just written.</param>
    /// <param name="state">With the event applied.</param>
    public void OnWritten(IRequestEvent happened, RequestState state)
    {
        switch (happened)
        {
            case RequestAccepted accepted:
                RequestMetrics.TokensAskedFor.Record(accepted.Spec.Parameters.TokensMax);
                break;
            case TokensCommitted { Tokens.Length: > 0 } committed:
                OnCommitted(committed, state.Accepted!);
                break;
            case RequestFinished finished:
                OnFinished(finished, state);
                break;
        }
    }

    private void OnCommitted(TokensCommitted committed, RequestAccepted accepted)
    {
        var now = clock.GetTimestamp();
        var count = committed.Tokens.Length;
        RequestMetrics.GenerationTokens.Add(count);
        if (committed.FirstIndex == 0)
        {
            RequestMetrics.PromptTokens.Add(accepted.Spec.Prompt.Length);
            RequestMetrics.TimeToFirstToken.Record((clock.GetUtcNow() - accepted.At).TotalSeconds);
            // Those that came with the first one took no time of their own.
            Record(0, count - 1);
        }
        else if (_shownAt is { } before)
        {
            Record(clock.GetElapsedTime(before, now).TotalSeconds / count, count);
        }

        _shownAt = now;
    }

    private static void Record(double seconds, int times)
    {
        if (!RequestMetrics.InterTokenLatency.Enabled) return;
        for (var i = 0; i < times; i++) RequestMetrics.InterTokenLatency.Record(seconds);
    }

    private static void OnFinished(RequestFinished finished, RequestState state)
    {
        RequestMetrics.Ended.Add(1, new KeyValuePair<string, object?>(
            "finished_reason", RequestMetrics.NameOf(finished.Reason)));
        RequestMetrics.EndToEnd.Record((finished.At - state.Accepted!.At).TotalSeconds);
        RequestMetrics.PromptLengths.Record(state.Accepted.Spec.Prompt.Length);
        RequestMetrics.GenerationLengths.Record(state.Tokens.Count);
    }
}
