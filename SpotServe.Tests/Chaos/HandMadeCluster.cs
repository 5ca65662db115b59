using System.Collections.Immutable;
using SpotServe.Tests.EndToEnd;

namespace SpotServe.Tests.Chaos;

/// <summary>A control node and gpu nodes started one by one, so that each can be ended and replaced.</summary>
internal sealed class HandMadeCluster : IAsyncDisposable
{
    private static readonly Dictionary<string, string> Secret = new() { ["SPOTSERVE_SECRET"] = "chaos has a secret" };

    // Replaced, never changed: a watch looks at it while a test adds and ends nodes.
    private ImmutableList<SeedProcess> _nodes = [];
    private readonly List<SeedProcess> _ended = [];
    private readonly SeedProcess _seed;
    private readonly string _address;
    private readonly int _graceSeconds;
    private readonly string _model;

    private HandMadeCluster(SeedProcess seed, string address, int graceSeconds, string model)
    {
        _model = model;
        _seed = seed;
        _address = address;
        _graceSeconds = graceSeconds;
    }

    public HttpClient Http { get; private set; } = null!;

    public SeedProcess Seed => _seed;

    /// <summary>Nodes that were started and not ended by a test, oldest first.</summary>
    public IReadOnlyList<SeedProcess> Nodes => _nodes;

    /// <param name="model">Folder; null is the bundled one.</param>
    /// <param name="database">PostgreSQL for the journal; null is SQLite.</param>
    public static async Task<HandMadeCluster> StartAsync(
        int nodes, string? layout, int graceSeconds, string? model = null, string? database = null)
    {
        model ??= SeedProcess.BundledModel;
        string[] flags = layout is null ? ["--model", model] : ["--model", model, "--layout", layout];
        var environment = new Dictionary<string, string>(Secret) { ["SPOTSERVE_DATABASE"] = database ?? "" };
        var seed = SeedProcess.Begin(
            environment, ["serve", "--port", "0", "--cluster-port", "0", "--nodes", $"{nodes}", .. flags]);
        var address = (await seed.LineAsync("--seed ")).Split("--seed ")[1].Split(' ')[0];
        var cluster = new HandMadeCluster(seed, address, graceSeconds, model);
        for (var i = 0; i < nodes; i++) cluster.Add();
        cluster.Http = await seed.ReadyAsync();
        return cluster;
    }

    /// <summary>Starts another node.</summary>
    /// <param name="cloud">Address of the metadata service that it listens to; null: none.</param>
    public SeedProcess Add(Uri? cloud = null) =>
        AddThatHears(cloud is null ? ["--cloud", "none"] : ["--metadata", cloud.ToString()]);

    /// <summary>Starts another node.</summary>
    /// <param name="notices">Options that say how it hears of its machine's end.</param>
    public SeedProcess AddThatHears(params string[] notices)
    {
        var node = SeedProcess.BeginNode(
            Secret,
            [
                "--seed", _address, "--model", _model, "--threads", "1", "--memory", "2",
                "--grace", $"{_graceSeconds}", .. notices,
            ]);
        _nodes = _nodes.Add(node);
        return node;
    }

    /// <summary>Sends a signal after which the node does not come back.</summary>
    public void End(SeedProcess node, string signal)
    {
        if (signal == "KILL") node.Kill();
        else SeedProcess.Signal(node.Id, signal);
        _nodes = _nodes.Remove(node);
        _ended.Add(node);
    }

    /// <summary>All that the seed and the nodes said last, for the message of a failed test.</summary>
    public string WhatWasSaid() => LastWords.Of(_seed, _nodes);

    public async ValueTask DisposeAsync()
    {
        Http?.Dispose();
        foreach (var node in _nodes.Concat(_ended)) node.Kill();
        foreach (var node in _nodes.Concat(_ended)) await node.DisposeAsync();
        await _seed.DisposeAsync();
    }
}
