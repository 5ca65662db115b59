using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Dashboard.Live;

/// <summary>Notes how long the HTTP edge waits for tokens on their way through. Changes nothing else.</summary>
internal sealed class TimedGenerationClient(IGenerationClient inner, LatencyWindow latency, TimeProvider clock)
    : IGenerationClient
{
    /// <summary>Requests whose first token has not come; beyond it the time to the first token is not taken.</summary>
    private const int StartedMax = 4096;

    private readonly ConcurrentDictionary<RequestId, DateTimeOffset> _started = new();

    public ServiceStatus Status => inner.Status;

    public async Task<Admission> SubmitAsync(GenerationSpec spec, CancellationToken cancel)
    {
        var at = clock.GetUtcNow();
        var answer = await inner.SubmitAsync(spec, cancel).ConfigureAwait(false);
        if (answer is Admission.Accepted accepted && _started.Count < StartedMax) _started[accepted.Id] = at;
        return answer;
    }

    public async IAsyncEnumerable<TokenBatch> StreamAsync(
        RequestId id, int fromIndex, [EnumeratorCancellation] CancellationToken cancel)
    {
        DateTimeOffset? last = null;
        try
        {
            await foreach (var batch in inner.StreamAsync(id, fromIndex, cancel).ConfigureAwait(false))
            {
                if (!batch.Tokens.IsEmpty)
                {
                    var now = clock.GetUtcNow();
                    if (_started.TryRemove(id, out var start)) latency.AddFirst(now, now - start);
                    else if (last is { } before) latency.AddBetween(now, (now - before) / batch.Tokens.Length);
                    last = now;
                }

                yield return batch;
            }
        }
        finally
        {
            _started.TryRemove(id, out _);
        }
    }

    public Task<RequestDescription> DescribeAsync(RequestId id, CancellationToken cancel) =>
        inner.DescribeAsync(id, cancel);

    public void Cancel(RequestId id) => inner.Cancel(id);

    public Task<FinishReason> CancelAsync(RequestId id, CancellationToken cancel) => inner.CancelAsync(id, cancel);

    public Task<OpenRequestList> ListOpenAsync(int max, CancellationToken cancel) => inner.ListOpenAsync(max, cancel);
}
