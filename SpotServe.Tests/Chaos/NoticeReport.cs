using System.Globalization;
using System.Text.Json;
using SpotServe.Actors.Hosting;
using SpotServe.Tests.EndToEnd;
using SpotServe.Tests.Preemption;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// Measures how long after it was given a notice the planner knows of it, for each watcher, with real processes.
/// Explicit: the figures in docs/clouds.md come from here.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class NoticeReport(ITestOutputHelper output)
{
    private const int Rounds = 3;

    /// <summary>Of a log's line, in UTC.</summary>
    private const string Stamp = "yyyy-MM-dd HH:mm:ss.fff";

    /// <summary>A node's start and what it rehearses are over then (<see cref="FailureRehearsal.Delay"/>).</summary>
    private static readonly TimeSpan Settled = FailureRehearsal.Delay + TimeSpan.FromSeconds(4);

    private static readonly TimeSpan EndMax = TimeSpan.FromMinutes(2);

    [Theory(Explicit = true)]
    [InlineData("aws")]
    [InlineData("azure")]
    [InlineData("gcp")]
    [InlineData("file")]
    [InlineData("SIGTERM")]
    [InlineData("HTTP")]
    public async Task Time_from_a_notice_to_the_planner(string watcher)
    {
        await using var cluster = await HandMadeCluster.StartAsync(nodes: 1, layout: null, graceSeconds: 30);
        var milliseconds = new List<double>();
        for (var round = 0; round < Rounds; round++)
        {
            var notice = await GiveAsync(cluster, watcher);
            await using var server = notice.Server;
            await ReconfigurationLine.UntilServingOnAsync(cluster.Http, 2, cluster.WhatWasSaid);
            using (var settled = new PeriodicTimer(Settled))
                await settled.WaitForNextTickAsync(TestContext.Current.CancellationToken);
            var told = cluster.Seed.LineAsync("leaves in ", after: cluster.Seed.LineCount);
            var given = DateTime.UtcNow;
            await notice.GiveAsync();
            await told;
            milliseconds.Add((await NoticedAsync(cluster.Seed.LogFile, round) - given).TotalMilliseconds);
            await notice.Node.ExitCodeAsync(EndMax);
            await ReconfigurationLine.UntilServingOnAsync(cluster.Http, 1, cluster.WhatWasSaid);
        }

        output.WriteLine($"{watcher}: {string.Join(", ", milliseconds.Select(time => $"{time:0} ms"))}");
    }

    /// <summary>When the planner had the notice, by its own log: the line on the terminal comes later, with what it
    /// does about it.</summary>
    /// <param name="earlier">Notices before this one.</param>
    private static async Task<DateTime> NoticedAsync(string log, int earlier)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (true)
        {
            await using var file = new FileStream(log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using var reader = new StreamReader(file);
            var lines = (await reader.ReadToEndAsync()).Split('\n')
                .Where(line => line.Contains(" Warning Planner:", StringComparison.Ordinal)
                    && line.Contains(" leaves in ", StringComparison.Ordinal))
                .ToArray();
            if (lines.Length > earlier)
            {
                return DateTime.ParseExact(
                    lines[earlier][..Stamp.Length], Stamp, CultureInfo.InvariantCulture,
                    DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal);
            }

            await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Adds a node that hears of its end in this way.</summary>
    private static async Task<Given> GiveAsync(HandMadeCluster cluster, string watcher)
    {
        switch (watcher)
        {
            case "aws":
                var aws = new FakeAws();
                return await ServedAsync(aws.AnswerAsync, () => aws.Action = $$"""
                    {"action": "terminate", "time": "{{DateTimeOffset.UtcNow.AddMinutes(2):O}}"}
                    """);
            case "azure":
                var azure = new FakeAzure();
                return await ServedAsync(azure.AnswerAsync, () => azure.Events =
                [
                    FakeAzure.Event(
                        "eviction", "Preempt", DateTimeOffset.UtcNow.AddSeconds(30).ToString("R"), FakeAzure.Machine),
                ]);
            case "gcp":
                var gcp = new FakeGcp();
                return await ServedAsync(gcp.AnswerAsync, () => gcp.Change("TRUE"));
            case "file":
                var path = Path.Combine(cluster.Seed.DataFolder, Path.GetRandomFileName());
                return new Given(
                    cluster.AddThatHears("--cloud", "none", "--notice-file", path),
                    null,
                    () => File.WriteAllTextAsync(path, "30"));
            case "SIGTERM":
                var node = cluster.Add();
                return new Given(node, null, () =>
                {
                    SeedProcess.Signal(node.Id, "TERM");
                    return Task.CompletedTask;
                });
            default:
                var pressed = cluster.Add();
                return new Given(pressed, null, async () =>
                {
                    using var fleet = JsonDocument.Parse(await cluster.Http.GetStringAsync("/admin/fleet"));
                    var name = fleet.RootElement.GetProperty("nodes").EnumerateArray()
                        .Select(one => one.GetProperty("node").GetString()!)
                        .Single(name => name.StartsWith($"{pressed.ClusterAddress}#", StringComparison.Ordinal));
                    using var answer = await cluster.Http.PostAsync(
                        $"/admin/nodes/{Uri.EscapeDataString(name)}/preempt?seconds=30", null);
                    answer.EnsureSuccessStatusCode();
                });
        }

        async Task<Given> ServedAsync(Microsoft.AspNetCore.Http.RequestDelegate answer, Action give)
        {
            var server = await MetadataServer.StartAsync(answer);
            return new Given(cluster.Add(server.Address), server, () =>
            {
                give();
                return Task.CompletedTask;
            });
        }
    }

    /// <summary>A node, and how it is given notice.</summary>
    private sealed record Given(SeedProcess Node, MetadataServer? Server, Func<Task> GiveAsync);
}
