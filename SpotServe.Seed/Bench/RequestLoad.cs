using System.Diagnostics;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Bench;

/// <summary>Sizes of the requests that a measurement makes.</summary>
/// <param name="BatchMax">Sequences that a replica runs at once, at most.</param>
internal sealed record RequestSizes(int PromptTokens, int OutputTokens, int BatchMax);

/// <summary>What a load met.</summary>
/// <param name="Latencies">Of each request that came within the window, in seconds, rising. One that was not answered
/// by the end counts with what it had waited.</param>
/// <param name="Unanswered">How many those are.</param>
/// <param name="RequestsPerSecond">That were answered; one that reached over an end of the window counts in
/// part.</param>
internal sealed record MetLoad(double[] Latencies, int Unanswered, double RequestsPerSecond)
{
    /// <summary>Windows of one load as one.</summary>
    public static MetLoad Together(IReadOnlyCollection<MetLoad> windows) => new(
        [.. windows.SelectMany(window => window.Latencies).Order()],
        windows.Sum(window => window.Unanswered),
        windows.Average(window => window.RequestsPerSecond));

    public double Mean => Latencies.Length == 0 ? 0 : Latencies.Average();

    /// <param name="share">0 to 1.</param>
    public double Quantile(double share) => Latencies.Length == 0
        ? 0
        : Latencies[Math.Clamp((int)Math.Ceiling(share * Latencies.Length) - 1, 0, Latencies.Length - 1)];
}

/// <summary>Requests with prompts of made tokens, all different, so that nothing is found in a cache of
/// prefixes.</summary>
/// <param name="clients">Of the full load: how many ask at once, each again as soon as it was answered.</param>
internal sealed class RequestLoad(HttpClient http, RequestSizes sizes, int clients)
{
    /// <summary>Ids that every model here can show.</summary>
    private const int FirstToken = 100;
    private const int EndToken = 2000;

    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(2);
    private int _made;

    /// <summary>Seconds of a few requests, one after the other: the quickest of them.</summary>
    public async Task<double> AloneAsync(int count, CancellationToken cancel)
    {
        var best = double.PositiveInfinity;
        for (var i = 0; i < count; i++)
        {
            var begun = Stopwatch.GetTimestamp();
            await AskAsync(cancel);
            best = Math.Min(best, Stopwatch.GetElapsedTime(begun).TotalSeconds);
        }

        return best;
    }

    /// <summary>Requests that come at random and whatever became of those before (Poisson), the same ones for each seed
    /// and rate.</summary>
    /// <param name="window">After this no more come; those that are open have as long again.</param>
    public async Task<MetLoad> OpenAsync(double rate, TimeSpan window, int seed, CancellationToken cancel)
    {
        var random = new Random(seed);
        var clock = Stopwatch.StartNew();
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        using var timer = new PeriodicTimer(Tick);
        var open = new List<Task<(double Latency, bool IsAnswered)>>();
        for (var due = Next(0); due < window.TotalSeconds; due = Next(due))
        {
            while (clock.Elapsed.TotalSeconds < due) await timer.WaitForNextTickAsync(cancel);
            open.Add(TimedAsync(clock, due, end.Token));
        }

        end.CancelAfter(TimeSpan.FromSeconds(Math.Max(1, (2 * window.TotalSeconds) - clock.Elapsed.TotalSeconds)));
        var met = await Task.WhenAll(open);
        cancel.ThrowIfCancellationRequested();
        var answered = met.Count(one => one.IsAnswered);
        return new MetLoad(
            [.. met.Select(one => one.Latency).Order()], met.Length - answered,
            answered / Math.Max(window.TotalSeconds, clock.Elapsed.TotalSeconds));

        double Next(double after) => after - (Math.Log(1 - random.NextDouble()) / rate);
    }

    /// <summary>All clients ask again and again.</summary>
    /// <param name="warm">Before the window: what is cold then does not count.</param>
    public async Task<MetLoad> FullAsync(TimeSpan warm, TimeSpan window, CancellationToken cancel)
    {
        var clock = Stopwatch.StartNew();
        var (first, end) = (warm.TotalSeconds, (warm + window).TotalSeconds);
        var spans = await Task.WhenAll(Enumerable.Range(0, clients).Select(async _ =>
        {
            var mine = new List<(double Begun, double Ended)>();
            while (clock.Elapsed.TotalSeconds is var begun && begun < end)
            {
                await AskAsync(cancel);
                mine.Add((begun, clock.Elapsed.TotalSeconds));
            }

            return mine;
        }));
        var all = spans.SelectMany(mine => mine).ToList();
        var done = all.Sum(one => Math.Max(0, Math.Min(end, one.Ended) - Math.Max(first, one.Begun))
            / (one.Ended - one.Begun));
        return new MetLoad(
            [.. all.Where(one => one.Begun >= first).Select(one => one.Ended - one.Begun).Order()], 0,
            done / window.TotalSeconds);
    }

    private async Task<(double Latency, bool IsAnswered)> TimedAsync(
        Stopwatch clock, double due, CancellationToken cancel)
    {
        var isAnswered = true;
        try
        {
            await AskAsync(cancel);
        }
        catch (OperationCanceledException)
        {
            isAnswered = false;
        }

        return (clock.Elapsed.TotalSeconds - due, isAnswered);
    }

    /// <exception cref="UsageException">It was refused or broke off.</exception>
    private async Task AskAsync(CancellationToken cancel)
    {
        var number = Interlocked.Increment(ref _made);
        var random = new Random(number);
        var prompt = Enumerable.Range(0, sizes.PromptTokens).Select(_ => random.Next(FirstToken, EndToken));
        using var answer = await http.PostAsJsonAsync("/v1/completions", new
        {
            prompt = prompt.ToArray(),
            max_tokens = sizes.OutputTokens,
            temperature = 0,
            ignore_eos = true,
        }, cancel);
        var text = await answer.Content.ReadAsStringAsync(cancel);
        if (!answer.IsSuccessStatusCode) throw new UsageException($"A request was refused: {text}");
        using var body = JsonTexts.Parse(text);
        var tokens = body.RootElement.GetProperty("usage").GetProperty("completion_tokens").GetInt32();
        if (tokens != sizes.OutputTokens)
            throw new UsageException($"A request got {tokens} tokens instead of {sizes.OutputTokens}: {text}");
    }
}
