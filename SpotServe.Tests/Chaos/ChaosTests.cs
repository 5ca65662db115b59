using System.Diagnostics;
using System.Globalization;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// Real processes under random kills, hangs and notices, beside a client that sends poison all the time; a run of ten
/// minutes and more also fails when memory, handles, threads or the journal grow.
/// SPOTSERVE_CHAOS_SECONDS sets the time (the README names the long run), SPOTSERVE_CHAOS_SEED the order of events,
/// SPOTSERVE_CHAOS_REST how many seconds a stream rests between two stories on average, so that a long run can go
/// beside other work.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class ChaosTests(ITestOutputHelper output)
{
    private const int Nodes = 4;
    private const int NodesMin = 2;
    private const int Streams = 16;
    private const int GraceSeconds = 8;
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_stream_is_that_of_an_undisturbed_run_whatever_happens_to_the_nodes()
    {
        var random = Begin(Setting("SPOTSERVE_CHAOS_SECONDS", 70), out var time);
        await using var cluster = await HandMadeCluster.StartAsync(
            Nodes, layout: null, GraceSeconds, PoisonedStories.Write());
        var load = new StreamLoad(cluster.Http, GoldenStories.Load()) { RestMean = Rest };
        var watch = new FlatnessWatch(cluster, () => load.Pieces, output.WriteLine);

        await UnderLoadAsync(cluster, load, watch, random, async began =>
        {
            while (Stopwatch.GetElapsedTime(began) < time && load.Wrong.Count == 0)
            {
                await PauseAsync(TimeSpan.FromSeconds(1.5 + (4.5 * random.NextDouble())));
                await DisturbAsync(cluster, random, random.Next(5), Tell(began));
            }
        });
    }

    /// <summary>The long form: a loss each minute, with notice or without.</summary>
    [Fact(Explicit = true)]
    public Task Soak_on_SQLite_loses_and_doubles_nothing_and_no_process_grows() => SoakAsync(null);

    /// <summary>The same, and in the midst the journal's server is restarted.</summary>
    [Fact(Explicit = true)]
    public async Task Soak_on_PostgreSQL_loses_and_doubles_nothing_and_no_process_grows()
    {
        await using var postgres = await PostgresServer.StartAsync();
        await SoakAsync(postgres);
    }

    private static TimeSpan Rest => TimeSpan.FromSeconds(Setting("SPOTSERVE_CHAOS_REST", 0));

    private async Task SoakAsync(PostgresServer? postgres)
    {
        var random = Begin(Setting("SPOTSERVE_CHAOS_SECONDS", 7200), out var time);
        await using var cluster = await HandMadeCluster.StartAsync(
            Nodes, layout: null, GraceSeconds, PoisonedStories.Write(), postgres?.Connection);
        var load = new StreamLoad(cluster.Http, GoldenStories.Load())
        {
            ComesBack = postgres is not null,
            RestMean = Rest,
        };
        var watch = new FlatnessWatch(
            cluster, () => load.Pieces, output.WriteLine, postgres is null ? null : postgres.BytesAsync);

        await UnderLoadAsync(cluster, load, watch, random, async began =>
        {
            var tell = Tell(began);
            var isRestarted = postgres is null;
            for (var minute = 1; Stopwatch.GetElapsedTime(began) < time && load.Wrong.Count == 0; minute++)
            {
                await PauseUntilAsync(began, TimeSpan.FromMinutes(minute - 0.5));
                if (!isRestarted && Stopwatch.GetElapsedTime(began) > (time - Minute) / 2)
                {
                    await postgres!.RestartAsync();
                    isRestarted = true;
                    tell($"PostgreSQL was restarted; {load.Refused} requests refused so far");
                }

                await PauseUntilAsync(began, TimeSpan.FromMinutes(minute));
                await DisturbAsync(cluster, random, random.Next(3), tell);
                while (cluster.Nodes.Count < Nodes) tell($"new node {cluster.Add().Id}");
            }

            Assert.True(isRestarted, "the run was too short for a restart");
        });
        output.WriteLine($"{load.Refused} requests were refused while the journal took none");
    }

    private Random Begin(int seconds, out TimeSpan time)
    {
        var seed = Setting("SPOTSERVE_CHAOS_SEED", Environment.TickCount & 0xffff);
        output.WriteLine($"SPOTSERVE_CHAOS_SEED={seed}, {seconds} s");
        time = TimeSpan.FromSeconds(seconds);
        return new Random(seed);
    }

    /// <summary>Disturbs a cluster beside streams and a client that sends poison, and judges all of it.</summary>
    private async Task UnderLoadAsync(
        HandMadeCluster cluster, StreamLoad load, FlatnessWatch watch, Random random, Func<long, Task> disturb)
    {
        using var enough = new CancellationTokenSource();
        var underway = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var streams = load.RunAsync(Streams, int.MaxValue, enough.Token, underway);
        await underway.Task.WaitAsync(Patience, Cancel);
        var poison = new PoisonClient(
            cluster.Http, PoisonedStories.Token, contextMax: 1024, new Random(random.Next()))
        {
            Pause = TimeSpan.FromMilliseconds(150) + (Rest / 20),
        };
        var poisoning = poison.RunAsync(enough.Token);
        var watching = watch.RunAsync(enough.Token);

        await disturb(Stopwatch.GetTimestamp());

        await enough.CancelAsync();
        await Task.WhenAll(streams, poisoning, watching).WaitAsync(Patience, Cancel);
        output.WriteLine($"{load.Finished} streams; {load.Gaps()}; poison: {poison.Summary}");
        if (load.Wrong.Count + poison.Wrong.Count > 0) TellWhatTheSeedSaid(cluster);
        foreach (var line in await ReconfigurationLine.AllAsync(cluster.Http)) output.WriteLine(line.ToString());

        Assert.Empty(load.Wrong);
        Assert.Empty(poison.Wrong);
        Assert.Empty(watch.Growth());
        Assert.True(load.Finished >= Streams, $"only {load.Finished} streams came to an end");
    }

    private Action<string> Tell(long began) =>
        what => output.WriteLine($"{Stopwatch.GetElapsedTime(began).TotalSeconds:0.0} s: {what}");

    private static async Task DisturbAsync(HandMadeCluster cluster, Random random, int how, Action<string> tell)
    {
        var node = cluster.Nodes[random.Next(cluster.Nodes.Count)];
        switch (how)
        {
            case 0 or 1 when cluster.Nodes.Count > NodesMin:
                tell($"SIGKILL of {node.Id}");
                cluster.End(node, "KILL");
                break;
            case 2 when cluster.Nodes.Count > NodesMin:
                tell($"notice of {GraceSeconds} s to {node.Id}");
                cluster.End(node, "TERM");
                break;
            case 3:
                var hang = TimeSpan.FromSeconds(0.2 + (4 * random.NextDouble()));
                tell($"SIGSTOP of {node.Id} for {hang.TotalSeconds:0.0} s");
                SeedProcess.Signal(node.Id, "STOP");
                await PauseAsync(hang);
                SeedProcess.Signal(node.Id, "CONT");
                break;
            default:
                break;
        }

        while (cluster.Nodes.Count < Nodes && random.Next(3) > 0) tell($"new node {cluster.Add().Id}");
    }

    private void TellWhatTheSeedSaid(HandMadeCluster cluster)
    {
        const int LinesOfLog = 200;
        output.WriteLine(cluster.Seed.Output);
        foreach (var log in Directory.GetFiles(cluster.Seed.DataFolder, "*.log", SearchOption.AllDirectories))
        {
            output.WriteLine($"{log}:\n{string.Join('\n', File.ReadAllLines(log).TakeLast(LinesOfLog))}");
        }
    }

    private static async Task PauseUntilAsync(long began, TimeSpan at)
    {
        var left = at - Stopwatch.GetElapsedTime(began);
        if (left > TimeSpan.Zero) await PauseAsync(left);
    }

    private static async Task PauseAsync(TimeSpan time)
    {
        using var timer = new PeriodicTimer(time);
        await timer.WaitForNextTickAsync(Cancel);
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value)
            ? value
            : otherwise;
}
