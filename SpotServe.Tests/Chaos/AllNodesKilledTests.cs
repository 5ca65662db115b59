using SpotServe.Actors.Persistence;
using SpotServe.Tests.EndToEnd;
using SpotServe.Tests.Persistence;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>Every gpu node is killed at once, with all weights and pages; the control node stays.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class AllNodesKilledTests(ITestOutputHelper output)
{
    private const int Nodes = 4;
    private const int Streams = 32;
    private const string AcceptedSql = "SELECT COUNT(*) FROM journal WHERE manifest LIKE 'request-accepted.%'";
    private static readonly TimeSpan StreamsMax = TimeSpan.FromMinutes(5);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Four_new_nodes_finish_all_that_four_killed_ones_began_nothing_lost_and_nothing_twice()
    {
        await using var cluster = await HandMadeCluster.StartAsync(Nodes, layout: "1,2,2", graceSeconds: 0);
        var journal = JournalOptions.Sqlite(cluster.Seed.DataFolder);
        DateTimeOffset killedAt = default;
        var requests = await OpenRequests.BeginAsync([cluster.Http], Streams, () =>
        {
            foreach (var node in cluster.Nodes.ToArray()) cluster.End(node, "KILL");
            killedAt = TimeProvider.System.GetUtcNow();
        });
        Assert.False(requests.AllRead.IsCompleted, $"all was over before: {requests.AllRead.Exception}");
        for (var i = 0; i < Nodes; i++) cluster.Add();
        await requests.AllRead.WaitAsync(StreamsMax, Cancel).ContinueWith(
            all => Assert.True(all.IsCompletedSuccessfully, $"{all.Exception}\n{cluster.WhatWasSaid()}"),
            TaskScheduler.Default);
        await OpenRequests.EndedAsync(journal, requests.Count);

        output.WriteLine(requests.ToString());
        foreach (var line in await ReconfigurationLine.AllAsync(cluster.Http)) output.WriteLine(line.ToString());
        // The clients saw that each token came once; whoever reads them later sees the same.
        Assert.All(requests.Clients, client => Assert.Equal(0, client.Broken));
        await requests.AssertGoldenAsync(cluster.Http);
        Assert.Equal(requests.Count, Convert.ToInt32(await JournalDatabase.QueryAsync(journal, AcceptedSql)));
        Assert.Equal(requests.Count, await OpenRequests.EndedCountAsync(journal));
        await ReconfigurationLine.UntilServingAsync(cluster.Http, "(1,2,2)", cluster.WhatWasSaid, killedAt);
        await ReplicaState.UntilAsync(
            cluster.Http, "all pages free", replicas => replicas.All(replica => replica.IsIdle));
    }
}
