using System.Diagnostics;
using System.Net;
using System.Text;
using SpotServe.Tests.EndToEnd;
using Xunit.Sdk;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// Clients that read golden stories as streams, each again and again, and note when every piece came. A stream whose
/// text is not that of an undisturbed run is a failure.
/// </summary>
internal sealed class StreamLoad
{
    private readonly HttpClient _http;
    private readonly IReadOnlyList<GoldenStories.Story> _stories;
    private readonly List<double> _gaps = [];
    private readonly List<string> _wrong = [];
    private readonly Lock _lock = new();
    private int _finished;
    private int _refused;
    private int _pieces;

    public StreamLoad(HttpClient http, IReadOnlyList<GoldenStories.Story> stories)
    {
        _http = http;
        _stories = stories;
    }

    /// <summary>Whether a request that is refused because nothing can be taken now is sent again, a little later, as
    /// Retry-After asks for; else it is wrong.</summary>
    public bool ComesBack { get; init; }

    /// <summary>A stream rests so long, on average, after each of its stories: a light load leaves the machine to
    /// others, and comes and goes.</summary>
    public TimeSpan RestMean { get; init; }

    /// <summary>Requests that were refused so.</summary>
    public int Refused => Volatile.Read(ref _refused);

    /// <summary>Streams that came to their end.</summary>
    public int Finished => Volatile.Read(ref _finished);

    /// <summary>Pieces that all streams together have shown.</summary>
    public int Pieces => Volatile.Read(ref _pieces);

    /// <summary>What was wrong with which stream.</summary>
    public IReadOnlyList<string> Wrong
    {
        get
        {
            lock (_lock) return [.. _wrong];
        }
    }

    /// <summary>Runs streams side by side, each until it has read so many stories or the time is over.</summary>
    /// <param name="whenUnderway">Completed once every stream has shown some pieces.</param>
    public async Task RunAsync(
        int streams, int storiesEach, CancellationToken until, TaskCompletionSource? whenUnderway = null)
    {
        const int PiecesToBeUnderway = 5;
        var waiting = streams;
        await Task.WhenAll(Enumerable.Range(0, streams).Select(async stream =>
        {
            var random = new Random(stream);
            for (var round = 0; round < storiesEach && !until.IsCancellationRequested; round++)
            {
                var story = _stories[(stream + round) % _stories.Count];
                await ReadAsync(story, pieces =>
                {
                    if (round > 0 || pieces != PiecesToBeUnderway) return;
                    if (Interlocked.Decrement(ref waiting) == 0) whenUnderway?.TrySetResult();
                });
                await RestAsync(random, until);
            }
        }));
    }

    /// <summary>Longest time between two pieces of one stream, and percentiles, in seconds.</summary>
    public GapSummary Gaps()
    {
        lock (_lock)
        {
            var sorted = _gaps.Order().ToArray();
            return sorted.Length == 0
                ? default
                : new GapSummary(At(sorted, 0.5), At(sorted, 0.99), sorted[^1], sorted.Length);
        }

        static double At(double[] sorted, double share) => sorted[(int)(share * (sorted.Length - 1))];
    }

    private async Task RestAsync(Random random, CancellationToken until)
    {
        if (RestMean <= TimeSpan.Zero) return;
        using var timer = new PeriodicTimer(RestMean * (0.01 + (1.98 * random.NextDouble())));
        try
        {
            await timer.WaitForNextTickAsync(until);
        }
        catch (OperationCanceledException)
        {
            // The run is over.
        }
    }

    private async Task ReadAsync(GoldenStories.Story story, Action<int> onPiece)
    {
        var text = new StringBuilder();
        var gaps = new List<double>();
        var last = 0L;
        var pieces = 0;
        try
        {
            await foreach (var piece in Completions.PiecesAsync(_http, story.Prompt, story.Tokens.Length))
            {
                text.Append(piece);
                if (last != 0) gaps.Add(Stopwatch.GetElapsedTime(last).TotalSeconds);
                last = Stopwatch.GetTimestamp();
                Interlocked.Increment(ref _pieces);
                onPiece(++pieces);
            }
        }
        catch (HttpRequestException error) when (ComesBack && pieces == 0
            && error.StatusCode is HttpStatusCode.ServiceUnavailable or HttpStatusCode.TooManyRequests)
        {
            Interlocked.Increment(ref _refused);
            using var pause = new PeriodicTimer(TimeSpan.FromSeconds(1));
            await pause.WaitForNextTickAsync();
            return;
        }
        catch (Exception error) when (error is HttpRequestException or IOException or XunitException)
        {
            Note($"\"{story.Prompt}\" broke off after {pieces} pieces: {error.Message}");
            return;
        }

        Interlocked.Increment(ref _finished);
        if (!story.Matches(text.ToString())) Note($"\"{story.Prompt}\" came out as: {text}");
        lock (_lock) _gaps.AddRange(gaps);
    }

    private void Note(string wrong)
    {
        lock (_lock) _wrong.Add(wrong);
    }
}

/// <summary>Times between two pieces of a stream, in seconds.</summary>
internal readonly record struct GapSummary(double Median, double P99, double Max, int Count)
{
    public override string ToString() =>
        $"gaps p50 {Median * 1000:0} ms, p99 {P99 * 1000:0} ms, max {Max * 1000:0} ms of {Count}";
}
