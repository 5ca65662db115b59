using System.Diagnostics;
using System.Globalization;
using SpotServe.Actors.Execution;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Benchmarks.Edge;

/// <summary>
/// What the way from a step's end to a client costs: one control node in a process of its own, a node whose fake engine
/// takes 50 ms for a step, and a client, all on this machine. Start it with
/// <c>SpotServe.Tests -explicit only -class SpotServe.Tests.Benchmarks.Edge.EdgeCostReport -showLiveOutput</c>.
/// </summary>
[Collection(nameof(OneClusterAtATime))]
public sealed class EdgeCostReport
{
    private const int TokensEach = 240;
    private static readonly TimeSpan StepPeriod = TimeSpan.FromMilliseconds(50);
    private static readonly ModelSpec Model = FakeModel.Spec(
        layers: 1, heads: 1, kvHeads: 1, hidden: 1, vocabulary: 256, contextMax: 512);

    /// <summary>SPOTSERVE_EDGE_STREAMS="64 64 64" measures these.</summary>
    private static readonly string Streams =
        Environment.GetEnvironmentVariable("SPOTSERVE_EDGE_STREAMS") ?? "1 64 256 512";

    private static readonly int[] StreamCounts = [.. Streams.Split(' ').Select(int.Parse)];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <param name="folder">Where the journal is: memory costs no disk.</param>
    [Theory(Explicit = true)]
    [InlineData("disk", "/var/tmp")]
    [InlineData("memory", "/dev/shm")]
    public async Task Latency_and_cost_of_a_token_between_its_step_and_its_client(string name, string folder)
    {
        var data = Directory.CreateDirectory(Path.Combine(folder, $"spotserve-edge-{Environment.ProcessId}"));
        await using var seed = SeedProcess.Begin(
            [], "serve", "--port", "0", "--cluster-port", "0", "--nodes", "1", "--sequences-max", "512",
            "--step-tokens", "2048", "--prefix-cache", "off", "--data", data.FullName);
        var address = (await seed.LineAsync("--seed ")).Split("--seed ")[1].Split(' ')[0];
        await using var node = await PacedNode.JoinAsync(address, Model, Cancel);
        using var http = await seed.ReadyAsync();
        // What is compiled at first use, and again once it is used often, is not what a token costs.
        node.Runtime.Period = StepPeriod;
        for (var i = 0; i < 2; i++) await EdgeLoad.RunAsync(http, 256, TokensEach, TimeSpan.FromSeconds(2), Cancel);

        Write($"journal in {name} ({data.FullName}), load {File.ReadAllText("/proc/loadavg").Trim()}");
        Write($"without a stream: {await IdleAsync(seed):0} ms of CPU a second");
        Write("streams | accepted after p50, p99 ms | token after p50, p99 ms | tokens/s | CPU us a token, compiling");
        foreach (var streams in StreamCounts) await MeasureAsync(seed, node, http, streams, StepPeriod);
        await MeasureAsync(seed, node, http, 512, TimeSpan.Zero);
        data.Delete(recursive: true);
    }

    /// <summary>What the control node costs when nobody asks for anything, in milliseconds a second.</summary>
    private static async Task<double> IdleAsync(SeedProcess seed)
    {
        var (before, begin) = (CpuSeconds(seed.Id), Stopwatch.GetTimestamp());
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(5));
        await timer.WaitForNextTickAsync(Cancel);
        return (CpuSeconds(seed.Id) - before).Working * 1_000 / Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }

    private static async Task MeasureAsync(
        SeedProcess seed, PacedNode node, HttpClient http, int streams, TimeSpan period)
    {
        node.Runtime.Period = period;
        var before = CpuSeconds(seed.Id);
        var begin = Stopwatch.GetTimestamp();
        var times = await EdgeLoad.RunAsync(http, streams, TokensEach, TimeSpan.FromSeconds(2), Cancel);
        var seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        var cpu = CpuSeconds(seed.Id) - before;
        var tokens = times.Sum(one => one.Tokens.Count);
        Assert.Equal(streams * TokensEach, tokens);

        var accepted = times.Select(one => Milliseconds(one.Asked, one.Accepted)).Order().ToArray();
        var late = period == TimeSpan.Zero ? [] : LatenciesOf(times, node.Runtime.Ends).Order().ToArray();
        Write(string.Create(CultureInfo.InvariantCulture,
            $"| {(period == TimeSpan.Zero ? $"{streams}, as fast as it goes" : streams)} "
            + $"| {At(accepted, 0.5)}, {At(accepted, 0.99)} | {At(late, 0.5)}, {At(late, 0.99)} "
            + $"| {tokens / seconds:0} | {cpu.Working * 1e6 / tokens:0}, {cpu.Compiling * 1e6 / tokens:0} |"));
    }

    /// <summary>From the end of the step that drew a token until its event came. Every step draws a token for each
    /// stream that runs, so that a stream's tokens are those of steps in a row, of which the first is the last one that
    /// lets none of them come before it was drawn.</summary>
    private static IEnumerable<double> LatenciesOf(StreamTimes[] times, long[] ends)
    {
        foreach (var stream in times)
        {
            var first = Array.BinarySearch(ends, stream.Tokens[0]) is < 0 and var at ? ~at - 1 : 0;
            while (stream.Tokens.Where((came, i) => came < ends[Math.Min(first + i, ends.Length - 1)]).Any()) first--;
            for (var i = 0; i < stream.Tokens.Count; i++) yield return Milliseconds(ends[first + i], stream.Tokens[i]);
        }
    }

    private static double Milliseconds(long from, long to) => Stopwatch.GetElapsedTime(from, to).TotalMilliseconds;

    private static string At(double[] ordered, double part) => ordered.Length == 0
        ? "-"
        : ordered[(int)((ordered.Length - 1) * part)].ToString("0.0", CultureInfo.InvariantCulture);

    /// <summary>Processor time of a process. What was used often is compiled again for minutes, by a thread of its own:
    /// that ends, and is no token's cost.</summary>
    private static CpuTime CpuSeconds(int process)
    {
        using var found = Process.GetProcessById(process);
        var compiling = Directory.GetDirectories($"/proc/{process}/task").Sum(CompilingSeconds);
        return new CpuTime(found.TotalProcessorTime.TotalSeconds, compiling);
    }

    private static double CompilingSeconds(string thread)
    {
        try
        {
            var name = File.ReadAllText(Path.Combine(thread, "comm"));
            if (!name.StartsWith(".NET Tiered", StringComparison.Ordinal)) return 0;
            var nanoseconds = File.ReadAllText(Path.Combine(thread, "schedstat")).Split(' ')[0];
            return double.Parse(nanoseconds, CultureInfo.InvariantCulture) / 1e9;
        }
        catch (IOException)
        {
            // It ended meanwhile.
            return 0;
        }
    }

    private static void Write(string line) => TestContext.Current.TestOutputHelper!.WriteLine(line);

    /// <param name="All">Seconds.</param>
    /// <param name="Compiling">Of these, as far as the thread that compiles has not ended.</param>
    private readonly record struct CpuTime(double All, double Compiling)
    {
        public double Working => All - Compiling;

        public static CpuTime operator -(CpuTime a, CpuTime b) =>
            new(a.All - b.All, Math.Max(0, a.Compiling - b.Compiling));
    }
}
