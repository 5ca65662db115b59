using SpotServe.Tests.EndToEnd;
using SpotServe.Tests.Preemption;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>Clouds take machines from a cluster of real processes, each in the way of its metadata service.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class CloudNoticeTests
{
    [Fact]
    public async Task Nodes_go_in_order_when_their_cloud_says_so_each_finds_its_cloud_itself_and_no_stream_notices()
    {
        var (aws, azure) = (new FakeAws(), new FakeAzure());
        await using var awsServer = await MetadataServer.StartAsync(aws.AnswerAsync);
        await using var azureServer = await MetadataServer.StartAsync(azure.AnswerAsync);
        await using var cluster = await HandMadeCluster.StartAsync(nodes: 2, layout: null, graceSeconds: 30);
        var onAws = cluster.Add(awsServer.Address);
        var onAzure = cluster.Add(azureServer.Address);
        await ReconfigurationLine.UntilServingOnAsync(cluster.Http, 4, cluster.WhatWasSaid);
        using var load = await RunningLoad.StartAsync(cluster.Http, 8, cluster.WhatWasSaid);

        aws.Rebalance = """{"noticeTime": "2026-01-02T03:04:05Z"}""";
        await onAws.LineAsync("rebalance");
        aws.Action = $$"""{"action": "terminate", "time": "{{DateTimeOffset.UtcNow.AddMinutes(2):O}}"}""";
        var afterAws = await ReconfigurationLine.UntilServingOnAsync(cluster.Http, 3, cluster.WhatWasSaid);
        var awsCode = await onAws.ExitCodeAsync(Waits.Max);
        azure.Events =
            [FakeAzure.Event("eviction", "Preempt", DateTimeOffset.UtcNow.AddSeconds(30).ToString("R"), "gpu-17")];
        var afterAzure = await ReconfigurationLine.UntilServingOnAsync(cluster.Http, 2, cluster.WhatWasSaid);
        var azureCode = await onAzure.ExitCodeAsync(Waits.Max);
        load.AssertNothingWrong();
        await load.EndAsync();

        Assert.Equal((0, 0), (awsCode, azureCode));
        Assert.All([afterAws, afterAzure], change => Assert.Equal(0, change.TokensRecomputed));
        Assert.Equal(["eviction"], azure.Started);
    }
}
