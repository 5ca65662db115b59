using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// Control nodes on ports of their own, each of which can be killed and started again where it was, and gpu nodes that
/// know all of them.
/// </summary>
internal sealed class ControlCluster : IAsyncDisposable
{
    private static readonly Dictionary<string, string> Secret = new() { ["SPOTSERVE_SECRET"] = "control has a secret" };
    private static readonly TimeSpan ReadyMax = Waits.Max;
    private readonly DirectoryInfo _data = Directory.CreateTempSubdirectory("spotserve-control-");
    private readonly List<SeedProcess> _killed = [];
    private readonly List<SeedProcess> _nodes = [];
    private readonly SeedProcess?[] _seeds;
    private readonly int[] _clusterPorts;
    private readonly int[] _httpPorts;
    private readonly string? _database;

    private ControlCluster(int seeds, string? database)
    {
        _seeds = new SeedProcess?[seeds];
        var ports = FreePorts.Take(2 * seeds);
        // Sorted, so that the first one founds the cluster and begins with the planner.
        _clusterPorts = [.. ports.Take(seeds).Order()];
        _httpPorts = ports[seeds..];
        _database = database;
        Http = [.. _httpPorts.Select(port => new HttpClient
        {
            BaseAddress = new Uri($"http://127.0.0.1:{port}"),
            Timeout = TimeSpan.FromMinutes(5),
        })];
    }

    /// <summary>A client for each control node, whether it runs or not.</summary>
    public IReadOnlyList<HttpClient> Http { get; }

    public IReadOnlyList<SeedProcess> Nodes => _nodes;

    public string DataFolder(int seed) => Path.Combine(_data.FullName, $"seed-{seed}");

    /// <param name="database">PostgreSQL connection; null: SQLite, for one control node.</param>
    public static async Task<ControlCluster> StartAsync(int seeds, int nodes, string? database)
    {
        var cluster = new ControlCluster(seeds, database);
        try
        {
            // The founder last: the others have to wait for it.
            for (var i = seeds - 1; i >= 0; i--) cluster.StartSeed(i);
            for (var i = 0; i < nodes; i++) cluster.AddNode();
            for (var i = 0; i < seeds; i++) await cluster.ReadyAsync(i);
            return cluster;
        }
        catch
        {
            // Its processes would take the processor from all tests that follow.
            await cluster.DisposeAsync();
            throw;
        }
    }

    public void StartSeed(int seed) => _seeds[seed] = SeedProcess.Begin(
        Secret,
        [
            "serve", "--port", $"{_httpPorts[seed]}", "--cluster-port", $"{_clusterPorts[seed]}",
            "--nodes", "4", "--layout", "1,2,2", "--data", DataFolder(seed),
            .. _database is null ? (string[])[] : ["--database", _database, .. SeedFlags()],
        ]);

    public void AddNode() => _nodes.Add(SeedProcess.BeginNode(
        Secret,
        [.. SeedFlags(), "--model", SeedProcess.BundledModel, "--threads", "1", "--memory", "2", "--grace", "0"]));

    public void KillSeed(int seed)
    {
        SeedProcess.Signal(_seeds[seed]!.Id, "KILL");
        _killed.Add(_seeds[seed]!);
        _seeds[seed] = null;
    }

    public void KillNodes()
    {
        foreach (var node in _nodes) SeedProcess.Signal(node.Id, "KILL");
        _killed.AddRange(_nodes);
        _nodes.Clear();
    }

    /// <summary>Waits until this control node says that a layout serves.</summary>
    public async Task ReadyAsync(int seed)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(ReadyMax);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        try
        {
            while (!await IsReadyAsync(Http[seed], limit.Token)) await timer.WaitForNextTickAsync(limit.Token);
        }
        catch (OperationCanceledException) when (!TestContext.Current.CancellationToken.IsCancellationRequested)
        {
            Assert.Fail($"seed {seed} was not ready within {ReadyMax.TotalSeconds} s:\n{LogsOf(seed)}");
        }
    }

    /// <summary>The end of what a control node said and logged.</summary>
    public string LogsOf(int seed)
    {
        const int LinesMax = 150;
        var log = Path.Combine(DataFolder(seed), "logs", "seed.log");
        var lines = File.Exists(log) ? File.ReadLines(log).TakeLast(LinesMax) : [];
        return $"{_seeds[seed]?.Output}\n{string.Join('\n', lines)}";
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var http in Http) http.Dispose();
        SeedProcess[] all = [.. _nodes, .. _seeds.OfType<SeedProcess>(), .. _killed];
        foreach (var process in all) SeedProcess.Signal(process.Id, "KILL");
        foreach (var process in all) await process.DisposeAsync();
        _data.Delete(recursive: true);
    }

    private static async Task<bool> IsReadyAsync(HttpClient http, CancellationToken cancel)
    {
        try
        {
            using var answer = await http.GetAsync("/ready", cancel);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;   // It does not listen yet.
        }
    }

    private string[] SeedFlags() => [.. _clusterPorts.SelectMany(port => (string[])["--seed", $"127.0.0.1:{port}"])];
}
