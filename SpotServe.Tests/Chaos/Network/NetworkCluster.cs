using System.Net.Http.Headers;
using SpotServe.Tests.EndToEnd;

namespace SpotServe.Tests.Chaos.Network;

/// <summary>A node process on a host of its own.</summary>
internal sealed record NetworkNode(NetworkHost Host, SeedProcess Process);

/// <summary>The real programs, each on a host of its own: the seed on the first, nodes on the others.</summary>
internal sealed class NetworkCluster : IAsyncDisposable
{
    private const string AdminKey = "operators-have-a-key";

    private static readonly Dictionary<string, string> Secret = new()
    {
        ["SPOTSERVE_SECRET"] = "hosts have a secret",
        ["SPOTSERVE_ADMIN_KEY"] = AdminKey,
    };

    private readonly List<NetworkNode> _nodes = [];
    private readonly string[] _nodeFlags;
    private string _seedAddress = "";

    private NetworkCluster(NetworkLab lab, SeedProcess seed, string[] nodeFlags)
    {
        _nodeFlags = nodeFlags;
        Lab = lab;
        Seed = seed;
    }

    public NetworkLab Lab { get; }

    public SeedProcess Seed { get; }

    public NetworkHost SeedHost => Lab.Hosts[0];

    /// <summary>In the order of their hosts.</summary>
    public IReadOnlyList<NetworkNode> Nodes => _nodes;

    public HttpClient Http { get; private set; } = null!;

    /// <summary>Starts a cluster of so many nodes and waits until it serves. Skips the test where that is
    /// impossible.</summary>
    /// <param name="spareHosts">Further hosts, for <see cref="AddNode"/>.</param>
    /// <param name="prepare">Called when the hosts are there, before a process is.</param>
    public static async Task<NetworkCluster> StartAsync(
        int nodes,
        string[] seedFlags,
        string[] nodeFlags,
        string? model = null,
        int spareHosts = 0,
        Action<NetworkLab>? prepare = null)
    {
        IpTool.SkipWhereImpossible();
        var lab = new NetworkLab(1 + nodes + spareHosts);
        NetworkCluster? cluster = null;
        try
        {
            prepare?.Invoke(lab);
            model ??= SeedProcess.BundledModel;
            var seed = SeedProcess.BeginIn(
                lab.Hosts[0].Space, Secret,
                [
                    "serve", "--host", lab.Hosts[0].Address, "--port", "0", "--cluster-port", "0",
                    "--nodes", $"{nodes}", "--model", model, .. seedFlags,
                ]);
            cluster = new NetworkCluster(lab, seed, [.. nodeFlags, "--model", model]);
            cluster._seedAddress = (await seed.LineAsync("--seed ")).Split("--seed ")[1].Split(' ')[0];
            for (var i = 0; i < nodes; i++) cluster.AddNode();
            cluster.Http = await seed.ReadyAsync();
            cluster.Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", AdminKey);
            return cluster;
        }
        catch
        {
            if (cluster is null) lab.Dispose();
            else await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts a node on the next host.</summary>
    public void AddNode()
    {
        var host = Lab.Hosts[1 + _nodes.Count];
        _nodes.Add(new NetworkNode(host, SeedProcess.BeginNodeIn(
            host.Space, Secret, ["--seed", _seedAddress, "--host", host.Address, "--threads", "1", .. _nodeFlags])));
    }

    /// <summary>All that the seed and the nodes said last, for the message of a failed test.</summary>
    public string WhatWasSaid() => LastWords.Of(Seed, _nodes.Select(node => node.Process));

    public async ValueTask DisposeAsync()
    {
        Http?.Dispose();
        // On a network that is cut in two nothing ends in order.
        foreach (var node in _nodes) node.Process.Kill();
        foreach (var node in _nodes) await node.Process.DisposeAsync();
        await Seed.DisposeAsync();
        Lab.Dispose();
    }
}
