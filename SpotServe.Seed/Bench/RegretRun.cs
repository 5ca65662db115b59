using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Bench;

/// <summary>A model that the report measures.</summary>
/// <param name="Folder">Where it lies.</param>
internal sealed record RegretSubject(string Name, string Folder, RequestSizes Sizes);

/// <summary>
/// Serves a model with every layout that the planner could choose, and measures each under a full, a low and a high
/// load; then those that came first and the planner's choices again, for longer and in turns. The best of twelve short
/// windows is the best by luck in part: a crowd that came or did not is worth 10 to 20 % of a mean.
/// </summary>
/// <param name="log">Told what is done.</param>
internal sealed class RegretRun(int nodes, Action<string> log)
{
    /// <summary>Of the cores, for the nodes' threads. Control node and clients have others in a cluster, and here the
    /// rest: what they took from the nodes would be another layout's fault, the more the more nodes are busy.</summary>
    private const double NodesShare = 0.75;

    /// <summary>Of the time in which a request is answered alone, the low load has one.</summary>
    private const double LowUse = 0.5;

    /// <summary>Of the requests that the best layout answers under a full load, the high one has so many.</summary>
    private const double HighUse = 0.6;

    /// <summary>What a window takes beside itself: the change before it, warming, and the last answers.</summary>
    private const double WindowsPerSecond = 0.55;

    /// <summary>Of all the time, for the first look at every layout.</summary>
    private const double SweepShare = 0.5;

    /// <summary>Layouts that came first under a load, and as many that were expected to, are measured again.</summary>
    private const int FinalistsMin = 2;

    /// <summary>How often in turns.</summary>
    private const int Rounds = 2;

    private static readonly TimeSpan WindowMin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan WindowMax = TimeSpan.FromSeconds(30);

    /// <summary>Measures one model.</summary>
    /// <param name="time">For all of it; windows are as long as it allows.</param>
    /// <exception cref="Actors.Hosting.UsageException">The cluster does not serve.</exception>
    public async Task<RegretResult> RunAsync(
        RegretSubject subject, TimeSpan time, string work, CancellationToken cancel)
    {
        log($"{subject.Name}: starting {nodes} nodes");
        await using var cluster = await OwnCluster.StartAsync(
            Path.Combine(work, subject.Name),
            [
                "--model", subject.Folder, "--nodes", $"{nodes}", "--objective", "latency", "--fleet", "none",
                "--sequences-max", $"{subject.Sizes.BatchMax}",
                "--threads", $"{Math.Max(1, (int)(Environment.ProcessorCount * NodesShare) / nodes)}",
            ],
            cancel);
        var cold = await cluster.InputsAsync(cancel);
        // So many that every layout's places are taken: what it does then is its throughput.
        var load = new RequestLoad(cluster.Http, subject.Sizes, nodes * subject.Sizes.BatchMax);
        var degrees = new RegretChoice(cold).Feasible();
        var sweep = new Windows(time * SweepShare, (degrees.Length * 3) + 2);

        // Whatever serves now: what is compiled only once is compiled before anything is measured.
        await load.FullAsync(TimeSpan.Zero, sweep.Next() * 2, cancel);
        var (alone, layouts) = await FullAsync(cluster, load, degrees, sweep, cancel);
        var (low, high) = (LowUse / alone, HighUse * layouts.Max(layout => layout.Full.RequestsPerSecond));
        for (var i = 0; i < layouts.Count; i++)
        {
            await cluster.ServeWithAsync(layouts[i].Degrees, cancel);
            await load.AloneAsync(1, cancel);
            layouts[i] = layouts[i] with
            {
                Low = await load.OpenAsync(low, sweep.Next(), seed: 1, cancel),
                High = await load.OpenAsync(high, sweep.Next(), seed: 2, cancel),
            };
            log(Line(layouts[i].Degrees, "low", layouts[i].Low!));
            log(Line(layouts[i].Degrees, "high", layouts[i].High!));
        }

        var result = new RegretResult(
            subject.Name, subject.Sizes, [.. layouts], Told(low), Told(high), cold, await cluster.InputsAsync(cancel));
        return result with
        {
            LowFinal = await FinalAsync(cluster, load, result, isHigh: false, time * (1 - SweepShare) / 2, cancel),
            HighFinal = await FinalAsync(cluster, load, result, isHigh: true, time * (1 - SweepShare) / 2, cancel),
        };

        Workload Told(double rate) => new(rate, subject.Sizes.PromptTokens, subject.Sizes.OutputTokens);
    }

    /// <summary>Every layout with all places taken, and how long a request takes alone in the one that is quickest
    /// with it.</summary>
    private async Task<(double Alone, List<MeasuredLayout> Layouts)> FullAsync(
        OwnCluster cluster, RequestLoad load, ImmutableArray<LayoutDegrees> all, Windows windows,
        CancellationToken cancel)
    {
        var (alone, layouts) = (double.PositiveInfinity, new List<MeasuredLayout>());
        foreach (var degrees in all)
        {
            await cluster.ServeWithAsync(degrees, cancel);
            // The first requests find code and caches cold, and tell how long one takes that is alone.
            alone = Math.Min(alone, await load.AloneAsync(2, cancel));
            var window = windows.Next();
            var met = await load.FullAsync(window / 4, window, cancel);
            layouts.Add(new MeasuredLayout(degrees, met));
            log(Line(degrees, "full", met));
        }

        return (alone, layouts);
    }

    /// <summary>One load again, on those that came first and those that were chosen.</summary>
    private async Task<ImmutableArray<FinalLayout>> FinalAsync(
        OwnCluster cluster, RequestLoad load, RegretResult result, bool isHigh, TimeSpan time,
        CancellationToken cancel)
    {
        var finalists = result.Finalists(isHigh, FinalistsMin);
        var (rate, windows) = (result.LoadOf(isHigh).RequestsPerSecond, new Windows(time, finalists.Length * Rounds));
        var met = finalists.ToDictionary(degrees => degrees, _ => new List<MetLoad>());
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var degrees in finalists)
            {
                await cluster.ServeWithAsync(degrees, cancel);
                await load.AloneAsync(1, cancel);
                // The same requests for all of them, others in each round.
                var one = await load.OpenAsync(rate, windows.Next(), seed: 10 + round, cancel);
                met[degrees].Add(one);
                log(Line(degrees, isHigh ? "high again" : "low again", one));
            }
        }

        return [.. finalists.Select(degrees => new FinalLayout(degrees, MetLoad.Together(met[degrees])))];
    }

    private static string Line(LayoutDegrees degrees, string what, MetLoad met) => string.Create(
        CultureInfo.InvariantCulture,
        $"  {degrees} {what}: {met.Latencies.Length} requests, mean {met.Mean * 1000:0} ms, "
        + $"{met.RequestsPerSecond:0.00}/s");

    /// <summary>How long each of so many windows is that come one after the other.</summary>
    private sealed class Windows(TimeSpan time, int count)
    {
        private readonly Stopwatch _clock = Stopwatch.StartNew();
        private int _left = count;

        public TimeSpan Next()
        {
            var seconds = (time - _clock.Elapsed).TotalSeconds / Math.Max(1, _left--) * WindowsPerSecond;
            return TimeSpan.FromSeconds(Math.Clamp(seconds, WindowMin.TotalSeconds, WindowMax.TotalSeconds));
        }
    }
}
