using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>A control node and two nodes by hand, for all that strangers try on it: whatever they do, it is the same
/// afterwards.</summary>
public sealed class StrangerCluster : IAsyncLifetime
{
    internal const string Secret = "the secret of this cluster";
    private static readonly Dictionary<string, string> Right = new() { ["SPOTSERVE_SECRET"] = Secret };
    private SeedProcess? _seed;
    private SeedProcess[] _nodes = [];
    private HttpClient? _http;
    private int _epochs;

    internal string ClusterAddress { get; private set; } = "";

    internal IEnumerable<string> Addresses => [ClusterAddress, .. _nodes.Select(node => node.ClusterAddress!)];

    internal string LogFile => _seed!.LogFile;

    internal GoldenStories.Story Story { get; } = GoldenStories.Load().First(story => story.IsWhole);

    public async ValueTask InitializeAsync()
    {
        _seed = SeedProcess.Begin(Right, "serve", "--port", "0", "--cluster-port", "0", "--nodes", "2");
        ClusterAddress = (await _seed.LineAsync("--seed ")).Split("--seed ")[1].Split(' ')[0];
        string[] arguments =
            ["--seed", ClusterAddress, "--model", SeedProcess.BundledModel, "--threads", "1", "--memory", "2"];
        _nodes = [SeedProcess.BeginNode(Right, arguments), SeedProcess.BeginNode(Right, arguments)];
        _http = await _seed.ReadyAsync();
        _epochs = Epochs();
    }

    internal Task<string> StoryAsync() => Completions.WholeAsync(_http!, Story.Prompt, Story.Tokens.Length);

    /// <summary>The same processes in the same epoch, and the same text.</summary>
    internal async Task ServesAsBeforeAsync()
    {
        Assert.True(Story.Matches(await StoryAsync()));
        Assert.Equal(_epochs, Epochs());
        Assert.DoesNotContain("is gone", _seed!.Output, StringComparison.Ordinal);
    }

    public async ValueTask DisposeAsync()
    {
        _http?.Dispose();
        foreach (var node in _nodes) await node.DisposeAsync();
        if (_seed is not null) await _seed.DisposeAsync();
    }

    private int Epochs() =>
        _seed!.Output.Split('\n').Count(line => line.StartsWith("  epoch ", StringComparison.Ordinal));
}
