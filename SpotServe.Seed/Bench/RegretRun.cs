using System.Diagnostics;
using System.Globalization;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Bench;

/// <summary>A model that the report measures.</summary>
/// <param name="Folder">Where it lies.</param>
internal sealed record RegretSubject(string Name, string Folder, RequestSizes Sizes);

/// <summary>
/// Serves a model with every layout that the planner could choose, and measures each under a full, a low and a high
/// load, so that the planner's choice can be compared with the best.
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

    private static readonly TimeSpan WindowMin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan WindowMax = TimeSpan.FromSeconds(30);

    /// <summary>Measures one model.</summary>
    /// <param name="time">For all of it; windows are as long as it allows.</param>
    /// <exception cref="Actors.Hosting.UsageException">The cluster does not serve.</exception>
    public async Task<RegretResult> RunAsync(
        RegretSubject subject, TimeSpan time, string work, CancellationToken cancel)
    {
        var clock = Stopwatch.StartNew();
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
        var layouts = new RegretChoice(cold).Feasible();
        var left = (layouts.Length * 3) + 2;
        var alone = double.PositiveInfinity;

        // Whatever serves now: what is compiled only once is compiled before anything is measured.
        await load.FullAsync(TimeSpan.Zero, Window() * 2, cancel);
        var full = new List<MeasuredLayout>();
        foreach (var degrees in layouts)
        {
            await cluster.ServeWithAsync(degrees, cancel);
            // The first requests find code and caches cold, and tell how long one takes that is alone.
            alone = Math.Min(alone, await load.AloneAsync(2, cancel));
            var window = Window();
            var met = await load.FullAsync(window / 4, window, cancel);
            full.Add(new MeasuredLayout(degrees, met));
            log(Line(degrees, "full", met));
        }

        var (low, high) = (LowUse / alone, HighUse * full.Max(layout => layout.Full.RequestsPerSecond));
        var all = new List<MeasuredLayout>();
        foreach (var layout in full)
        {
            await cluster.ServeWithAsync(layout.Degrees, cancel);
            await load.AloneAsync(1, cancel);
            var calm = await load.OpenAsync(low, Window(), seed: 1, cancel);
            log(Line(layout.Degrees, "low", calm));
            var busy = await load.OpenAsync(high, Window(), seed: 2, cancel);
            log(Line(layout.Degrees, "high", busy));
            all.Add(layout with { Low = calm, High = busy });
        }

        return new RegretResult(
            subject.Name, subject.Sizes, [.. all], Told(low), Told(high), cold, await cluster.InputsAsync(cancel));

        TimeSpan Window()
        {
            var seconds = (time - clock.Elapsed).TotalSeconds / Math.Max(1, left--) * WindowsPerSecond;
            return TimeSpan.FromSeconds(Math.Clamp(seconds, WindowMin.TotalSeconds, WindowMax.TotalSeconds));
        }

        Workload Told(double rate) => new(rate, subject.Sizes.PromptTokens, subject.Sizes.OutputTokens);
    }

    private static string Line(LayoutDegrees degrees, string what, MetLoad met) => string.Create(
        CultureInfo.InvariantCulture,
        $"  {degrees} {what}: {met.Latencies.Length} requests, mean {met.Mean * 1000:0} ms, "
        + $"{met.RequestsPerSecond:0.00}/s");
}
