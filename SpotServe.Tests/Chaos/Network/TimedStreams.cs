using System.Collections.Concurrent;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos.Network;

/// <summary>Long streams that note when each piece came.</summary>
internal sealed class TimedStreams
{
    private const int TokensMax = 1500;
    private readonly ConcurrentQueue<Gap> _gaps = [];
    private readonly CancellationTokenSource _enough = new();
    private readonly Task _streams;

    private TimedStreams(HttpClient http, int streams, TaskCompletionSource underway)
    {
        const int PiecesToBeUnderway = 10;
        var waiting = streams;
        _streams = Task.WhenAll(Enumerable.Range(0, streams).Select(async stream =>
        {
            DateTimeOffset? last = null;
            var pieces = 0;
            await foreach (var _ in Completions.PiecesAsync(http, $"Story {stream}: once upon a time", TokensMax))
            {
                var now = TimeProvider.System.GetUtcNow();
                if (last is { } before) _gaps.Enqueue(new Gap(before, now));
                last = now;
                if (++pieces == PiecesToBeUnderway && Interlocked.Decrement(ref waiting) == 0)
                    underway.TrySetResult();
                if (_enough.IsCancellationRequested) break;
            }
        }));
    }

    /// <summary>Begins, and waits until every stream has shown some pieces.</summary>
    public static async Task<TimedStreams> StartAsync(HttpClient http, int streams)
    {
        var underway = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var timed = new TimedStreams(http, streams, underway);
        await (await Task.WhenAny(underway.Task, timed._streams)).WaitAsync(TestContext.Current.CancellationToken);
        return timed;
    }

    /// <summary>Times between two pieces of a stream that lie in this time, in milliseconds, by size.</summary>
    public double[] Within(DateTimeOffset from, DateTimeOffset to) =>
        [.. _gaps.Where(gap => gap.From >= from && gap.To <= to).Select(gap => gap.Milliseconds).Order()];

    /// <summary>The longest times between two pieces of a stream that lie partly in this time, and when they began,
    /// both in milliseconds.</summary>
    public (double Began, double Took)[] Longest(int count, DateTimeOffset from, DateTimeOffset to) =>
    [
        .. _gaps.Where(gap => gap.To >= from && gap.From <= to).OrderByDescending(gap => gap.Milliseconds).Take(count)
            .Select(gap => ((gap.From - from).TotalMilliseconds, gap.Milliseconds)),
    ];

    public async Task EndAsync()
    {
        await _enough.CancelAsync();
        await _streams;
    }

    private readonly record struct Gap(DateTimeOffset From, DateTimeOffset To)
    {
        public double Milliseconds => (To - From).TotalMilliseconds;
    }
}
