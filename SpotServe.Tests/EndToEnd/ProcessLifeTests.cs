using System.Diagnostics;
using System.Text.Json;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>The one command ends whole, whoever ends it, and says why when it cannot begin.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class ProcessLifeTests
{
    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    public async Task Signal_stops_all_of_it_and_every_line_was_an_object(string signal)
    {
        var (seed, http) = await SeedProcess.StartAsync("--port", "0", "--nodes", "2", "--log", "json");
        await using var _ = seed;
        using var client = http;
        var nodes = seed.NodeIds().Select(Process.GetProcessById).ToArray();

        SeedProcess.Signal(seed.Id, signal);

        Assert.Equal(0, await seed.ExitCodeAsync(Waits.Max));
        Assert.Equal(2, nodes.Length);
        Assert.All(nodes, node => Assert.True(node.HasExited));
        Assert.Empty(seed.Errors);
        var logs = Directory.GetFiles(Path.Combine(seed.DataFolder, "logs"));
        Assert.Equal(3, logs.Length);
        Assert.Superset(new HashSet<string> { "Terminal" }, AreasOf(seed.Output.Split('\n')));
        foreach (var log in logs)
            Assert.Superset(new HashSet<string> { "Log", "Akka" }, AreasOf(File.ReadAllLines(log)));
    }

    private static HashSet<string> AreasOf(string[] lines) =>
        [.. lines.Select(line => JsonDocument.Parse(line).RootElement.GetProperty("area").GetString()!)];

    [Fact]
    public async Task Nodes_leave_by_themselves_when_the_seed_is_killed()
    {
        var (seed, http) = await SeedProcess.StartAsync("--port", "0", "--nodes", "2");
        await using var _ = seed;
        using var client = http;
        var nodes = seed.NodeIds().Select(Process.GetProcessById).ToArray();
        Assert.Equal(2, nodes.Length);

        SeedProcess.Signal(seed.Id, "KILL");

        await Task.WhenAll(nodes.Select(node => node.WaitForExitAsync(TestContext.Current.CancellationToken)))
            .WaitAsync(Waits.Max, TestContext.Current.CancellationToken);
    }

    [Theory]
    [InlineData("--layout 1,9,1", "P = 9", "8 layers", "1,4,1")]
    [InlineData("--layout 1,1,3", "M = 3", "8 attention heads", "1,1,4")]
    [InlineData("--layout 2,2,2", "8 devices", "there are 4", "2,2,1")]
    [InlineData("--layout 2x2", "D,P,M", "1,2,2")]
    [InlineData("--model /no/such/folder", "/no/such/folder", "--model")]
    [InlineData("--database Host=127.0.0.1;Port=1;Username=a;Database=b", "127.0.0.1/b", "See that it runs")]
    [InlineData("--model /proc", "/proc", "no config.json", "--model")]
    public async Task What_cannot_be_is_one_line_and_exit_code_1(string arguments, params string[] said)
    {
        await using var seed = SeedProcess.Begin(["--port", "0", .. arguments.Split(' ')]);

        var code = await seed.ExitCodeAsync(Waits.Max);

        Assert.Equal(1, code);
        var line = Assert.Single(seed.Errors);
        Assert.All(said, part => Assert.Contains(part, line, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("--port {0}", "--port")]
    [InlineData("serve --port 0 --cluster-port {0}", "--cluster-port")]
    public async Task Taken_port_is_one_line_and_exit_code_1(string arguments, string option)
    {
        using var other = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        other.Start();
        var port = ((System.Net.IPEndPoint)other.LocalEndpoint).Port;
        await using var seed = SeedProcess.Begin(
            arguments.Replace("{0}", $"{port}", StringComparison.Ordinal).Split(' '));

        var code = await seed.ExitCodeAsync(Waits.Max);

        Assert.Equal(1, code);
        var line = Assert.Single(seed.Errors);
        Assert.Contains($":{port}", line, StringComparison.Ordinal);
        Assert.Contains(option, line, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(seed.DataFolder));
    }

    [Theory]
    [InlineData("serve --cluster-port 0 --host 0.0.0.0", "0.0.0.0", "10.0.0.1")]
    [InlineData("serve --cluster-port 0 --seed somewhere", "--seed somewhere", "HOST:PORT")]
    [InlineData("--admin-key-file /no/such/key", "--admin-key-file", "/no/such/key")]
    [InlineData("--database-file /no/such/file", "--database-file", "/no/such/file")]
    [InlineData("--layout 99999999999,1,1", "99999999999")]
    public async Task Mistake_of_the_operator_is_one_line_and_exit_code_1(string arguments, params string[] said)
    {
        await using var seed = SeedProcess.Begin(["--port", "0", .. arguments.Split(' ')]);

        var code = await seed.ExitCodeAsync(Waits.Max);

        Assert.Equal(1, code);
        var line = Assert.Single(seed.Errors);
        Assert.All(said, part => Assert.Contains(part, line, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("--seed nowhere", "HOST:PORT")]
    [InlineData("--seed 127.0.0.1:1 --host 0.0.0.0", "0.0.0.0")]
    [InlineData("--seed 127.0.0.1:1 --port {0}", "--port")]
    [InlineData("--seed 127.0.0.1:1 --data-port {0}", "--data-port")]
    public async Task Mistake_at_a_node_is_one_line_and_exit_code_1(string arguments, string said)
    {
        using var other = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        other.Start();
        var port = ((System.Net.IPEndPoint)other.LocalEndpoint).Port;
        await using var node = SeedProcess.BeginNode(
            new Dictionary<string, string> { ["SPOTSERVE_SECRET"] = "nodes have a secret" },
            [
                "--model", SeedProcess.BundledModel,
                .. arguments.Replace("{0}", $"{port}", StringComparison.Ordinal).Split(' '),
            ]);

        var code = await node.ExitCodeAsync(Waits.Max);

        Assert.Equal(1, code);
        Assert.Contains(said, Assert.Single(node.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Second_node_on_one_port_is_refused_and_the_first_stays()
    {
        var secret = new Dictionary<string, string> { ["SPOTSERVE_SECRET"] = "nodes have a secret" };
        string[] arguments = ["--model", SeedProcess.BundledModel, "--seed", "127.0.0.1:1", "--port"];
        await using var first = SeedProcess.BeginNode(secret, [.. arguments, "0"]);
        await first.LineAsync("listening on addresses");
        var port = first.ClusterAddress!.Split(':')[1];
        await using var second = SeedProcess.BeginNode(secret, [.. arguments, port]);

        var code = await second.ExitCodeAsync(Waits.Max);

        Assert.Equal(1, code);
        var line = Assert.Single(second.Errors);
        Assert.Contains($":{port}", line, StringComparison.Ordinal);
        Assert.Contains("--port", line, StringComparison.Ordinal);
        Assert.False(first.HasExited);
    }

    [Fact]
    public async Task Too_few_open_files_are_one_line_and_exit_code_1()
    {
        await using var seed = SeedProcess.BeginUnder("ulimit -n 256", "--port", "0");

        var code = await seed.ExitCodeAsync(Waits.Max);

        Assert.Equal(1, code);
        Assert.Contains("ulimit -n", Assert.Single(seed.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Data_folder_of_another_seed_is_one_line_and_exit_code_1()
    {
        await using var first = SeedProcess.Begin("serve", "--port", "0", "--cluster-port", "0");
        await first.LineAsync("waiting for 4 device(s)");
        await using var second = SeedProcess.Begin("--port", "0", "--data", first.DataFolder);

        var code = await second.ExitCodeAsync(Waits.Max);

        Assert.Equal(1, code);
        Assert.Contains(first.DataFolder, Assert.Single(second.Errors), StringComparison.Ordinal);
    }

    [Fact]
    [System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
    public async Task Nodes_that_cannot_start_end_the_seed_with_their_last_words()
    {
        var script = Path.Combine(Directory.CreateTempSubdirectory("spotserve-test-").FullName, "node");
        await File.WriteAllTextAsync(
            script, "#!/bin/sh\necho the disk is made of cheese >&2\nexit 3\n", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        await using var seed = SeedProcess.Begin(
            new Dictionary<string, string> { ["SPOTSERVE_NODE"] = script }, "--port", "0", "--nodes", "2");

        var code = await seed.ExitCodeAsync(Waits.Max);

        Assert.Equal(1, code);
        Assert.Contains("exit code 3", string.Concat(seed.Errors), StringComparison.Ordinal);
        Assert.Contains("the disk is made of cheese", string.Concat(seed.Errors), StringComparison.Ordinal);
        Assert.Contains(Path.Combine(seed.DataFolder, "logs", "node-1.log"), seed.Output, StringComparison.Ordinal);
        Directory.Delete(Path.GetDirectoryName(script)!, recursive: true);
    }
}
