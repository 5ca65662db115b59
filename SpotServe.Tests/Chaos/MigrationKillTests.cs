using System.Diagnostics;
using System.Net.Http.Json;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// A node is killed without notice just as a change of layout enters one of its phases, with real processes.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class MigrationKillTests(ITestOutputHelper output)
{
    private const int Streams = 32;

    /// <summary>On a busy machine a phase of some milliseconds may be over before the signal is out: then that was a
    /// kill in the next one, checked like any other, and this one is tried again.</summary>
    private const int KillsMax = 5;

    /// <summary>Each needs all four nodes.</summary>
    private static readonly string[] Layouts = ["2,2,1", "1,2,2", "1,4,1", "2,1,2"];

    /// <summary>Phases, how the planner's line begins that tells of the moment, and whether the node that is killed
    /// runs the scheduler of a replica that serves.</summary>
    private static readonly (string Phase, string Line, bool Leader)[] Moments =
    [
        ("Planning", "Planning: ", false),
        ("PreCopying", "PreCopying: ", true),
        ("PreCopying", "PreCopying: pages go to ", false),
        ("CuttingOver", "CuttingOver: ", true),
        ("Releasing", "Releasing: ", false),
    ];

    private readonly long _started = Stopwatch.GetTimestamp();
    private int _kills;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Streams_are_those_of_an_undisturbed_run_when_a_node_is_killed_in_each_phase_of_a_change()
    {
        await using var cluster = await HandMadeCluster.StartAsync(nodes: 4, layout: "1,4,1", graceSeconds: 0);
        var seeded = await SeededLoad.StartAsync(cluster.Http);
        using var load = await RunningLoad.StartAsync(cluster.Http, Streams, cluster.WhatWasSaid);

        foreach (var (phase, line, leader) in Moments)
        {
            List<string?> hit = [];
            while (!hit.Contains(phase))
            {
                Assert.True(hit.Count < KillsMax, $"no kill came in {phase}, but in {string.Join(", ", hit)}");
                hit.Add(await KillAsync(cluster, line, leader));
                load.AssertNothingWrong();
            }
        }

        var answers = await seeded.EndAsync();
        var gaps = await load.EndAsync();
        output.WriteLine($"{_kills} kills, {load.Finished} streams, {answers} seeded answers, {gaps}");
        Assert.True(load.Finished >= Streams);
    }

    /// <summary>Asks for another layout, kills a node, starts another, and waits until the layout serves.</summary>
    /// <returns>The phase of the change that was asked for in which the kill came; null when it was over.</returns>
    private async Task<string?> KillAsync(HandMadeCluster cluster, string line, bool leader)
    {
        var served = ToldLayout.Newest(cluster.Seed);
        var victim = cluster.Nodes.First(node => served.IsLeader(node) == leader);
        var layout = Layouts[_kills++ % Layouts.Length];
        var askedAt = TimeProvider.System.GetUtcNow();
        using var log = PlannerLog.Follow(cluster.Seed);

        var asking = cluster.Http.PostAsJsonAsync("/admin/layout", new { layout }, Cancel);
        await log.SaysAsync(line);
        cluster.End(victim, "KILL");
        var killedAt = TimeProvider.System.GetUtcNow();
        cluster.Add();
        using var answer = await asking;
        answer.EnsureSuccessStatusCode();
        // No layout after the kill that needs four nodes can do without the new one.
        await ReconfigurationLine.UntilServingAsync(cluster.Http, $"({layout})", cluster.WhatWasSaid, killedAt);

        var changes = (await ReconfigurationLine.AllAsync(cluster.Http)).Where(change => change.StartedAt >= askedAt)
            .ToList();
        var phase = changes[0].PhaseAt(killedAt);
        output.WriteLine(
            $"{Stopwatch.GetElapsedTime(_started).TotalSeconds:0.0} s: ({served.PositionOf(victim)}) was killed at "
            + $"\"{line}\", in {phase ?? "no phase"}");
        foreach (var change in changes) output.WriteLine($"  {change}; {string.Join<object>(", ", change.Phases)}");
        return phase;
    }
}
