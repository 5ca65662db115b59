using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>A control node and gpu nodes that are started one by one, as on several machines.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class NodesByHandTests
{
    private const string Secret = "the secret of this cluster";

    [Fact]
    public async Task Node_with_another_secret_is_turned_away_even_if_it_is_first_and_the_rest_serve()
    {
        Dictionary<string, string> right = new() { ["SPOTSERVE_SECRET"] = Secret };
        Dictionary<string, string> wrong = new() { ["SPOTSERVE_SECRET"] = "the secret of another one" };
        await using var seed = SeedProcess.Begin(
            right, "serve", "--port", "0", "--cluster-port", "0", "--nodes", "2");
        var address = (await seed.LineAsync("--seed ")).Split("--seed ")[1].Split(' ')[0];
        string[] arguments =
            ["--seed", address, "--model", SeedProcess.BundledModel, "--threads", "1", "--memory", "2"];

        await using var stranger = SeedProcess.BeginNode(wrong, arguments);
        var code = await stranger.ExitCodeAsync(Waits.Max);
        await using var first = SeedProcess.BeginNode(right, arguments);
        await using var second = SeedProcess.BeginNode(right, arguments);
        using var http = await seed.ReadyAsync();
        var text = await Completions.WholeAsync(http, "Once upon a time", 8);

        Assert.Equal(1, code);
        Assert.Contains("another secret", string.Concat(stranger.Errors), StringComparison.Ordinal);
        Assert.NotEmpty(text);
    }

    [Fact]
    public async Task Node_without_a_secret_says_what_to_set_and_ends()
    {
        await using var node = SeedProcess.BeginNode([], "--seed", "127.0.0.1:1", "--model", SeedProcess.BundledModel);

        var code = await node.ExitCodeAsync(Waits.Max);

        Assert.Equal(1, code);
        Assert.Contains("SPOTSERVE_SECRET", Assert.Single(node.Errors), StringComparison.Ordinal);
    }
}
