using System.Collections.Immutable;
using System.Text.Json.Nodes;
using k8s;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Hosting;
using SpotServe.Seed.Fleet;
using Xunit;

namespace SpotServe.Tests.Fleet;

/// <summary>The real client against a server that speaks Kubernetes' API.</summary>
public sealed class KubernetesCloudTests : IAsyncLifetime
{
    private static readonly KubernetesPool Cheap = new("g4dn.xlarge", true, 0.17)
    {
        Zone = "us-east-1a",
        NodeSelector = ImmutableDictionary<string, string>.Empty.Add("eks.amazonaws.com/capacityType", "SPOT"),
    };

    private static readonly KubernetesPool Safe = new("g4dn.xlarge", false, 0.526);
    private FakeKubernetes _kubernetes = null!;
    private KubernetesCloud _cloud = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static LaunchOrder Order { get; } = new("llm-1", "llm", Cheap.Machines);

    public async ValueTask InitializeAsync()
    {
        _kubernetes = await FakeKubernetes.StartAsync();
        var client = new Kubernetes(new KubernetesClientConfiguration { Host = _kubernetes.Url });
        _cloud = new KubernetesCloud(
            client, new KubernetesOptions("llm", "llm-node", [Cheap, Safe], MachinesMax: 8), FakeKubernetes.Space);
    }

    public async ValueTask DisposeAsync()
    {
        _cloud.Dispose();
        await _kubernetes.DisposeAsync();
    }

    [Fact]
    public async Task Order_that_is_given_twice_is_one_pod_of_the_template_in_its_pool()
    {
        var once = await _cloud.LaunchAsync(Order, Cancel);
        var again = await _cloud.LaunchAsync(Order, Cancel);

        Assert.Equal(new LaunchOutcome.Launched("llm-1"), once);
        Assert.Equal(once, again);
        var pod = Assert.Single(_kubernetes.Pods).Value;
        var spec = pod["spec"]!;
        Assert.Equal("Never", (string?)spec["restartPolicy"]);
        Assert.Equal(
            [("disk", "fast"), ("eks.amazonaws.com/capacityType", "SPOT"),
                ("node.kubernetes.io/instance-type", "g4dn.xlarge"), ("topology.kubernetes.io/zone", "us-east-1a")],
            spec["nodeSelector"]!.AsObject().Select(label => (label.Key, (string)label.Value!)).Order());
        Assert.Equal(
            "--device cuda --instance-id llm-1 --instance-type g4dn.xlarge --zone us-east-1a --price 0.17 --spot",
            string.Join(' ', spec["containers"]![0]!["args"]!.AsArray().Select(arg => (string)arg!)));
        Assert.Equal("node", (string?)pod["metadata"]!["labels"]!["app"]);
        var machine = Assert.Single(await _cloud.ListAsync("llm", Cancel));
        Assert.Equal(new CloudMachine("llm-1", "llm-1", Cheap.Machines, MachineStatus.Starting, ""), machine);
        Assert.Empty(await _cloud.ListAsync("another", Cancel));
    }

    [Fact]
    public async Task Pod_that_runs_is_a_machine_with_an_address_until_its_process_has_ended()
    {
        await _cloud.LaunchAsync(new LaunchOrder("llm-1", "llm", Safe.Machines), Cancel);
        var pod = Run("llm-1", "host-1");
        _kubernetes.Nodes["host-1"] = FakeKubernetes.Parsed("""{"metadata": {"name": "host-1"}}""");

        Assert.Equal(
            new CloudMachine("llm-1", "llm-1", Safe.Machines, MachineStatus.Running, "10.0.0.7"),
            Assert.Single(await _cloud.ListAsync("llm", Cancel)));
        pod["status"]!["phase"] = "Failed";
        Assert.Empty(await _cloud.ListAsync("llm", Cancel));
        Assert.Empty(_kubernetes.Pods);
    }

    [Theory]
    [InlineData("""{"spec": {"taints": [{"key": "aws-node-termination-handler/spot-itn", "effect": "NoSchedule"}]}}""")]
    [InlineData("""{"spec": {"taints": [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]}}""")]
    [InlineData("""{"status": {"conditions": [{"type": "PreemptScheduled", "status": "True"}]}}""")]
    [InlineData("""{"metadata": {"deletionTimestamp": "2026-11-27T10:00:00Z"}}""")]
    [InlineData(null)]
    public async Task Machine_goes_when_its_node_is_taken_away_or_gone(string? node)
    {
        await _cloud.LaunchAsync(Order, Cancel);
        Run("llm-1", "host-1");
        if (node is not null) _kubernetes.Nodes["host-1"] = FakeKubernetes.Parsed(node);

        Assert.Equal(MachineStatus.Ending, Assert.Single(await _cloud.ListAsync("llm", Cancel)).Status);
    }

    [Theory]
    [InlineData("""{"spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]}}""")]
    [InlineData("""{"spec": {"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]}}""")]
    [InlineData("""{"status": {"conditions": [{"type": "PreemptScheduled", "status": "False"}]}}""")]
    public async Task Machine_stays_while_its_node_does(string node)
    {
        await _cloud.LaunchAsync(Order, Cancel);
        Run("llm-1", "host-1");
        _kubernetes.Nodes["host-1"] = FakeKubernetes.Parsed(node);

        Assert.Equal(MachineStatus.Running, Assert.Single(await _cloud.ListAsync("llm", Cancel)).Status);
    }

    [Fact]
    public async Task Machine_that_is_given_back_ends_however_often_it_is_asked_for()
    {
        await _cloud.LaunchAsync(Order, Cancel);
        Run("llm-1", "host-1");
        _kubernetes.Nodes["host-1"] = FakeKubernetes.Parsed("{}");

        await _cloud.TerminateAsync("llm-1", Cancel);
        await _cloud.TerminateAsync("llm-1", Cancel);
        await _cloud.TerminateAsync("never-was", Cancel);

        Assert.Equal(MachineStatus.Ending, Assert.Single(await _cloud.ListAsync("llm", Cancel)).Status);
        Assert.IsType<LaunchOutcome.Refused>(await _cloud.LaunchAsync(Order, Cancel));
    }

    [Fact]
    public async Task Name_that_another_pod_has_is_refused()
    {
        await _cloud.LaunchAsync(Order, Cancel);

        var outcome = await _cloud.LaunchAsync(Order with { Cluster = "another" }, Cancel);

        Assert.Contains(
            "not this cluster's", Assert.IsType<LaunchOutcome.Refused>(outcome).Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(403, "Forbidden", typeof(LaunchOutcome.Refused))]
    [InlineData(422, "Invalid", typeof(LaunchOutcome.Refused))]
    [InlineData(429, "TooManyRequests", typeof(LaunchOutcome.Throttled))]
    [InlineData(500, "InternalError", typeof(LaunchOutcome.Unknown))]
    [InlineData(504, "Timeout", typeof(LaunchOutcome.Unknown))]
    public async Task What_the_server_says_of_a_launch_is_told_apart_and_it_is_asked_once(
        int status, string reason, Type outcome)
    {
        _kubernetes.Failures["POST"] = (status, reason);

        var told = await _cloud.LaunchAsync(Order, Cancel);

        Assert.IsType(outcome, told);
        Assert.Contains($"{status}: {reason}, it says", told.ToString(), StringComparison.Ordinal);
        Assert.Single(_kubernetes.Calls, call => call.StartsWith("POST", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Template_that_is_not_there_or_has_no_container_refuses_the_order()
    {
        _kubernetes.Template!["template"]!["spec"]!["containers"] = new JsonArray();
        Assert.IsType<LaunchOutcome.Refused>(await _cloud.LaunchAsync(Order, Cancel));
        _kubernetes.Template = null;
        Assert.IsType<LaunchOutcome.Refused>(await _cloud.LaunchAsync(Order, Cancel));
        Assert.Empty(_kubernetes.Pods);
    }

    [Fact]
    public async Task Server_that_is_not_there_leaves_the_outcome_open_and_fails_a_list()
    {
        await _kubernetes.DisposeAsync();

        Assert.IsType<LaunchOutcome.Unknown>(await _cloud.LaunchAsync(Order, Cancel));
        await Assert.ThrowsAsync<CloudException>(() => _cloud.ListAsync("llm", Cancel));
        await Assert.ThrowsAsync<CloudException>(() => _cloud.TerminateAsync("llm-1", Cancel));
    }

    [Fact]
    public async Task List_of_several_pages_is_read_to_its_end()
    {
        _kubernetes.PageSize = 2;
        for (var number = 1; number <= 5; number++)
            await _cloud.LaunchAsync(Order with { Token = $"llm-{number}" }, Cancel);

        Assert.Equal(5, (await _cloud.ListAsync("llm", Cancel)).Select(machine => machine.Id).Distinct().Count());
    }

    [Fact]
    public async Task Prices_are_those_of_the_file_for_pools_that_it_has() => Assert.Equal(
        [new PoolPrice(Cheap.Machines, 0.17), new PoolPrice(Safe.Machines, 0.526)],
        await _cloud.PricesAsync([Cheap.Machines, new MachinePool("p5", "", true), Safe.Machines], Cancel));

    [Theory]
    [InlineData("\"llm\"", "\"Llm\"", "a small letter")]
    [InlineData("0.17", "0", "price must be above 0")]
    [InlineData("\"spot\": false", "\"spot\": true", "twice")]
    [InlineData("\"machines_max\"", "\"machine_max\"", "machine_max")]
    public async Task File_that_cannot_be_meant_is_refused_with_what_is_wrong(string right, string wrong, string named)
    {
        const string Right =
            """
            {"cluster": "llm", "pod_template": "llm-node", "machines_max": 4,
             "pools": [{"type": "m", "spot": true, "price": 0.17}, {"type": "m", "spot": false, "price": 1}]}
            """;
        var content = Right.Replace(right, wrong, StringComparison.Ordinal);
        Assert.NotEqual(Right, content);
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, content, Cancel);

        var error = Assert.Throws<UsageException>(() => KubernetesOptions.Read(file));

        Assert.Contains(named, error.Message, StringComparison.Ordinal);
        File.Delete(file);
    }

    private JsonObject Run(string name, string host)
    {
        var pod = _kubernetes.Pods[name];
        pod["spec"]!["nodeName"] = host;
        pod["status"] = FakeKubernetes.Parsed("""{"phase": "Running", "podIP": "10.0.0.7"}""");
        return pod;
    }
}
