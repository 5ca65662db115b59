using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Simulation;

namespace SpotServe.Seed.Recorder;

/// <summary>Records when requests come and are answered, and how long they are. Changes nothing else.</summary>
internal sealed class RecordedGenerationClient(IGenerationClient inner, ClusterRecorder recorder) : IGenerationClient
{
    /// <summary>Requests that are open; of more than these only the arrival is recorded.</summary>
    private const int OpenMax = 65_536;

    private readonly ConcurrentDictionary<RequestId, Open> _open = new();
    private long _count;

    public ServiceStatus Status => inner.Status;

    public async Task<Admission> SubmitAsync(GenerationSpec spec, CancellationToken cancel)
    {
        var at = recorder.Seconds;
        var answer = await inner.SubmitAsync(spec, cancel).ConfigureAwait(false);
        if (answer is not Admission.Accepted accepted) return answer;
        var number = Interlocked.Increment(ref _count);
        recorder.Write(new RecordedEntry.Arrived(at, number, spec.Prompt.Length, spec.Parameters.TokensMax));
        if (_open.Count < OpenMax) _open[accepted.Id] = new Open(number);
        return answer;
    }

    public async IAsyncEnumerable<TokenBatch> StreamAsync(
        RequestId id, int fromIndex, [EnumeratorCancellation] CancellationToken cancel)
    {
        await foreach (var batch in inner.StreamAsync(id, fromIndex, cancel).ConfigureAwait(false))
        {
            if (_open.TryGetValue(id, out var open))
            {
                if (!batch.Tokens.IsEmpty) open.First ??= recorder.Seconds;
                if (batch.Finished is { } finish) End(id, batch.FirstIndex + batch.Tokens.Length, finish);
            }

            yield return batch;
        }
    }

    public Task<RequestDescription> DescribeAsync(RequestId id, CancellationToken cancel) =>
        inner.DescribeAsync(id, cancel);

    public void Cancel(RequestId id)
    {
        End(id, 0, FinishReason.Cancelled);
        inner.Cancel(id);
    }

    public async Task<FinishReason> CancelAsync(RequestId id, CancellationToken cancel)
    {
        var finish = await inner.CancelAsync(id, cancel).ConfigureAwait(false);
        End(id, 0, finish);
        return finish;
    }

    public Task<OpenRequestList> ListOpenAsync(int max, CancellationToken cancel) => inner.ListOpenAsync(max, cancel);

    private void End(RequestId id, int tokens, FinishReason finish)
    {
        if (!_open.TryRemove(id, out var open)) return;
        recorder.Write(new RecordedEntry.Ended(
            recorder.Seconds, open.Number, open.First, tokens, finish.ToString()));
    }

    private sealed class Open(long number)
    {
        public long Number => number;

        public double? First { get; set; }
    }
}
