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
    private static readonly TimeSpan StreamsMax = TimeSpan.FromMinutes(5);
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
        var requests = await OpenRequests.BeginAsync(cluster.Http, 8);

        cluster.KillSeed(0);
        cluster.StartSeed(0);
        var started = Stopwatch.GetTimestamp();
        await requests.AllRead.WaitAsync(StreamsMax, Cancel);
        await OpenRequests.EndedAsync(journal, 1 + requests.Count);
        output.WriteLine(
            $"all ended {Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s after the start of the new process");

        Tell(requests);
        Assert.All(requests.Clients, client => Assert.True(client.Broken > 0));
        await requests.AssertGoldenAsync(cluster.Http[0]);
        var ended = await ReadAsync(cluster.Http[0], stopped);
        Assert.Equal("stop", ended.GetProperty("finish_reason").GetString());
        Assert.Equal(Stories[0].Text[..400], ended.GetProperty("text").GetString());
        await AssertWeightsWereKeptAsync(cluster);
    }

    private async Task KillAsync(ControlCluster cluster, int killed, int count, JournalDatabase database)
    {
        var before = await OpenRequests.EndedCountAsync(database.Options);
        var requests = await OpenRequests.BeginAsync(cluster.Http, count);

        cluster.KillSeed(killed);
        await requests.AllRead.WaitAsync(StreamsMax, Cancel).ContinueWith(
            all => Assert.True(all.IsCompletedSuccessfully, $"{all.Exception}\n{cluster.LogsOf((killed + 1) % 3)}"),
            TaskScheduler.Default);
        await OpenRequests.EndedAsync(database.Options, before + requests.Count);

        Tell(requests);
        Assert.Contains(requests.Clients, client => client.Broken > 0);
        await requests.AssertGoldenAsync(cluster.Http[(killed + 1) % 3]);
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
            client.AssertGolden();
            Assert.Equal(0, client.Broken);
        }));
    }

    private void Tell(OpenRequests requests) => output.WriteLine(requests.ToString());

    private static async Task<JsonElement> ReadAsync(HttpClient http, string id) =>
        await http.GetFromJsonAsync<JsonElement>($"/v1/requests/{id}", Cancel);

    private async Task AssertWeightsWereKeptAsync(ControlCluster cluster)
    {
        // Requests may be over before the last node is back.
        foreach (var node in cluster.Nodes) await node.LineAsync("is a member again");
        var lines = await ReconfigurationLine.AllAsync(cluster.Http[0]);
        foreach (var line in lines) output.WriteLine(line.ToString());
        Assert.Equal(0, lines[^1].WeightsFromDisk);
    }
}
