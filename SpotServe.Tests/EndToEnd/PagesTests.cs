using System.Net.Http.Json;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>No page stays behind with a request that ended, however it ended.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneServingCluster))]
public sealed class PagesTests(ServingCluster cluster)
{
    private const int TokensMax = 900;

    [Fact]
    public async Task Client_that_disconnects_frees_its_pages_long_before_its_last_token()
    {
        var before = await IdleAsync();

        await foreach (var _ in Completions.PiecesAsync(cluster.Http, "Once upon a time", TokensMax)) break;

        var after = await NextIdleAsync(before);
        Assert.InRange(after.Tokens - before.Tokens, 1, TokensMax - 1);
    }

    [Fact]
    public async Task Stop_string_frees_the_pages_and_ends_the_generation()
    {
        var before = await IdleAsync();

        using var response = await cluster.Http.PostAsJsonAsync(
            "/v1/completions",
            new { prompt = "Once upon a time", max_tokens = TokensMax, temperature = 0, ignore_eos = true, stop = "." },
            TestContext.Current.CancellationToken);
        Assert.True(response.IsSuccessStatusCode);

        var after = await NextIdleAsync(before);
        Assert.InRange(after.Tokens - before.Tokens, 1, TokensMax - 1);
    }

    [Fact]
    public async Task Sixty_four_requests_at_once_leave_no_page_behind()
    {
        var before = await IdleAsync();
        var lengths = Enumerable.Range(0, 64).Select(i => 4 + (i * 37 % 90)).ToArray();

        await Task.WhenAll(lengths.Select((length, i) =>
            Completions.StreamedAsync(cluster.Http, $"There were {i} cats. ", length)));

        var after = await NextIdleAsync(before, lengths.Sum());
        Assert.Equal(lengths.Sum(), after.Tokens - before.Tokens);
    }

    private async Task<ReplicaState> IdleAsync() => Assert.Single(await ReplicaState.UntilAsync(
        cluster.Http, "all pages free", replicas => replicas.All(replica => replica.IsIdle)));

    private async Task<ReplicaState> NextIdleAsync(ReplicaState before, int tokensMin = 1) =>
        Assert.Single(await ReplicaState.UntilAsync(
            cluster.Http,
            $"all pages free after {tokensMin} or more tokens",
            replicas => replicas.All(replica => replica.IsIdle && replica.Tokens >= before.Tokens + tokensMin)));
}
