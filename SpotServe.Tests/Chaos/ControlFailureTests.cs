using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using SpotServe.Actors.Persistence;
using SpotServe.Tests.EndToEnd;
using SpotServe.Tests.Persistence;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>Control nodes are killed: no accepted request is lost, and clients read the rest elsewhere.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class ControlFailureTests(ITestOutputHelper output)
{
    private const int Nodes = 4;
    private const int Unread = 3;
    private const int PiecesToBeUnderway = 3;
    private static readonly TimeSpan StreamsMax = TimeSpan.FromSeconds(100);
    private static readonly IReadOnlyList<GoldenStories.Story> Stories = GoldenStories.Load();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Any_of_three_control_nodes_can_be_killed_also_the_planners_and_come_back()
    {
        const int Streams = 16;
        await using var database = await JournalDatabase.CreateAsync("postgres");
        await using var cluster = await ControlCluster.StartAsync(
            seeds: 3, Nodes, database.Options.ConnectionString);

        await KillAsync(cluster, killed: 0, Streams, database);
        cluster.StartSeed(0);
        await cluster.ReadyAsync(0);
        await KillAsync(cluster, killed: 1, Streams, database);

        Assert.Contains(
            "/user/planner] Singleton manager started singleton actor", cluster.LogsOf(2) + cluster.LogsOf(0),
            StringComparison.Ordinal);
        await AllNodesAsync(cluster, controls: [0, 2]);
    }

    [Fact]
    public async Task Only_control_node_that_is_killed_and_started_again_resumes_all_accepted_requests()
    {
        await using var cluster = await ControlCluster.StartAsync(seeds: 1, Nodes, database: null);
        var journal = JournalOptions.Sqlite(cluster.DataFolder(0));
        var stop = Stories[0].Text[400..420];
        var stopped = await ResumingClient.SubmitAsync(cluster.Http[0], Stories[0], stop, Cancel);
        var (unread, clients, streams) = await BeginAsync(cluster, 8);

        cluster.KillSeed(0);
        cluster.StartSeed(0);
        var started = Stopwatch.GetTimestamp();
        await streams.WaitAsync(StreamsMax, Cancel);
        await EndedAsync(journal, 1 + unread.Length + clients.Length);
        output.WriteLine(
            $"all ended {Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s after the start of the new process");

        Tell(clients);
        Assert.All(clients, client => Assert.True(client.Broken > 0));
        AssertGolden(clients);
        await AssertGoldenAsync(cluster.Http[0], unread);
        var ended = await ReadAsync(cluster.Http[0], stopped);
        Assert.Equal("stop", ended.GetProperty("finish_reason").GetString());
        Assert.Equal(Stories[0].Text[..400], ended.GetProperty("text").GetString());
        await AssertWeightsWereKeptAsync(cluster);
    }

    private async Task KillAsync(ControlCluster cluster, int killed, int count, JournalDatabase database)
    {
        var before = await database.QueryAsync(EndedSql);
        var (unread, clients, streams) = await BeginAsync(cluster, count);

        cluster.KillSeed(killed);
        await streams.WaitAsync(StreamsMax, Cancel).ContinueWith(
            all => Assert.True(all.IsCompletedSuccessfully, $"{all.Exception}\n{cluster.LogsOf((killed + 1) % 3)}"),
            TaskScheduler.Default);
        await EndedAsync(database.Options, Convert.ToInt32(before) + unread.Length + clients.Length);

        Tell(clients);
        Assert.Contains(clients, client => client.Broken > 0);
        AssertGolden(clients);
        await AssertGoldenAsync(cluster.Http[(killed + 1) % 3], unread);
    }

    /// <summary>All nodes vanish at once, each with a last opinion of the rest: no control node is given up.</summary>
    private static async Task AllNodesAsync(ControlCluster cluster, int[] controls)
    {
        cluster.KillNodes();
        for (var i = 0; i < Nodes; i++) cluster.AddNode();
        await Task.WhenAll(controls.Select(async control =>
        {
            var client = new ResumingClient([cluster.Http[control]], Stories[control]);
            await client.ReadAsync(0, _ => { }, Cancel).WaitAsync(StreamsMax, Cancel);
            AssertGolden([client]);
            Assert.Equal(0, client.Broken);
        }));
    }

    /// <summary>Streams at all control nodes, and requests that nobody reads; returns when all streams are under
    /// way.</summary>
    private static async Task<((string Id, GoldenStories.Story Story)[] Unread, ResumingClient[] Clients, Task All)>
        BeginAsync(ControlCluster cluster, int count)
    {
        var waiting = count;
        var underway = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var unread = await Task.WhenAll(Enumerable.Range(0, Unread).Select(async i =>
        {
            var story = Stories[i % Stories.Count];
            return (await ResumingClient.SubmitAsync(
                cluster.Http[i % cluster.Http.Count], story, stop: null, Cancel), story);
        }));
        ResumingClient[] clients = [.. Enumerable.Range(0, count).Select(
            i => new ResumingClient(cluster.Http, Stories[i % Stories.Count]))];
        var all = Task.WhenAll(clients.Select((client, i) => client.ReadAsync(
            i % cluster.Http.Count,
            pieces =>
            {
                if (pieces == PiecesToBeUnderway && Interlocked.Decrement(ref waiting) == 0) underway.TrySetResult();
            },
            Cancel)));
        await Task.WhenAny(underway.Task, all).WaitAsync(StreamsMax, Cancel);
        return (unread, clients, all);
    }

    /// <summary>Waits until so many requests have ended, by what the journal says: asking for one would wake
    /// it.</summary>
    private static async Task EndedAsync(JournalOptions journal, int count)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        while (Convert.ToInt32(await JournalDatabase.QueryAsync(journal, EndedSql)) < count)
        {
            try
            {
                await timer.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException) when (!Cancel.IsCancellationRequested)
            {
                var ended = await JournalDatabase.QueryAsync(journal, EndedSql);
                Assert.Fail($"waited for {count} requests to end, but {ended} have");
            }
        }
    }

    private const string EndedSql = "SELECT COUNT(*) FROM journal WHERE manifest LIKE 'request-finished.%'";

    private void Tell(ResumingClient[] clients) => output.WriteLine(
        $"{clients.Count(client => client.Broken > 0)} of {clients.Length} connections broke; longest gaps " +
        string.Join(", ", clients.Select(client => $"{client.LongestGap.TotalSeconds:0.0}")) + " s");

    private static void AssertGolden(ResumingClient[] clients) => Assert.All(
        clients, client => Assert.True(client.Story.Matches(client.Text), $"came out as: {client.Text}"));

    private static async Task AssertGoldenAsync(HttpClient http, (string Id, GoldenStories.Story Story)[] unread)
    {
        foreach (var (id, story) in unread)
        {
            var body = await ReadAsync(http, id);
            Assert.Equal("completed", body.GetProperty("status").GetString());
            Assert.True(story.Matches(body.GetProperty("text").GetString()!), body.ToString());
        }
    }

    private static async Task<JsonElement> ReadAsync(HttpClient http, string id) =>
        await http.GetFromJsonAsync<JsonElement>($"/v1/requests/{id}", Cancel);

    private async Task AssertWeightsWereKeptAsync(ControlCluster cluster)
    {
        Assert.All(cluster.Nodes, node => Assert.Contains("is a member again", node.Output, StringComparison.Ordinal));
        var lines = await ReconfigurationLine.AllAsync(cluster.Http[0]);
        foreach (var line in lines) output.WriteLine(line.ToString());
        Assert.Equal(0, lines[^1].WeightsFromDisk);
    }
}
