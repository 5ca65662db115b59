using System.Text;
using System.Text.RegularExpressions;
using SpotServe.Tests.Chaos;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>A node that is killed without notice costs time, never a token.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed partial class KilledNodeTests(ServingCluster cluster) : IClassFixture<ServingCluster>
{
    private const int PiecesBeforeTheKill = 5;

    [Fact]
    public async Task Streams_go_on_to_the_text_of_an_undisturbed_run_when_a_node_is_killed()
    {
        var stories = GoldenStories.Load();
        var undisturbed = await Task.WhenAll(stories.Select(story =>
            Completions.WholeAsync(cluster.Http, story.Prompt, story.Tokens.Length)));
        using var underway = new CountdownEvent(2 * stories.Count);
        var allUnderway = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        var streams = stories.Concat(stories).Select(ReadAsync).ToArray();
        await allUnderway.Task.WaitAsync(Waits.Max, TestContext.Current.CancellationToken);
        SeedProcess.Signal(cluster.Seed.NodeIds()[0], "KILL");
        var texts = await Task.WhenAll(streams)
            .WaitAsync(Waits.Max, TestContext.Current.CancellationToken)
            .ContinueWith(
                all => all.IsCompletedSuccessfully
                    ? all.Result
                    : throw new InvalidOperationException(
                        $"not all streams ended:\n{cluster.Seed.Output}", all.Exception),
                TaskScheduler.Default);

        Assert.Equal([.. undisturbed, .. undisturbed], texts);
        Assert.Contains("by signal 9; its log: ", cluster.Seed.Output, StringComparison.Ordinal);
        Assert.Matches(Story(), await cluster.Seed.LineAsync(" went on after "));
        var record = (await ReconfigurationLine.AllAsync(cluster.Http))[^1];
        Assert.InRange(record.RequestsResumed, 1, texts.Length);
        Assert.InRange(record.TokensRecomputed, record.RequestsResumed, long.MaxValue);
        Assert.Equal(2, Epochs().Count(cluster.Seed.Output));
        await ReplicaState.UntilAsync(
            cluster.Http, "all pages free", replicas => replicas.All(replica => replica.IsIdle));

        async Task<string> ReadAsync(GoldenStories.Story story)
        {
            var text = new StringBuilder();
            var pieces = 0;
            await foreach (var piece in Completions.PiecesAsync(cluster.Http, story.Prompt, story.Tokens.Length))
            {
                text.Append(piece);
                if (++pieces == PiecesBeforeTheKill && underway.Signal()) allUnderway.SetResult();
            }

            return text.ToString();
        }
    }

    [GeneratedRegex(
        @"^  node \S+ was killed: it closed its connections; \d+ requests? went on after \d+\.\d s; "
        + @"[\d,]+ tokens were computed again$")]
    private static partial Regex Story();

    [GeneratedRegex(@"^  epoch \d+: layout", RegexOptions.Multiline)]
    private static partial Regex Epochs();
}
