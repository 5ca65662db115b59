using System.Collections.Immutable;
using System.Net;
using System.Text;
using System.Text.Json;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>What an operator asks of the cluster by HTTP.</summary>
public sealed class AdminTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Node_is_given_notice_and_an_unknown_one_is_not_found()
    {
        await using var server = await ApiServer.StartAsync();

        using var told = await server.Client.PostAsync("/admin/nodes/a:1%23f/preempt?seconds=12.5", null, Cancel);
        server.Cluster.Operator.Refusal = "There is no node x.";
        using var unknown = await server.Client.PostAsync("/admin/nodes/x/preempt", null, Cancel);

        Assert.Equal(HttpStatusCode.Accepted, told.StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
        Assert.Equal(
            [("a:1#f", TimeSpan.FromSeconds(12.5)), ("x", TimeSpan.FromSeconds(30))],
            server.Cluster.Operator.Preempted);
    }

    [Theory]
    [InlineData("""{"layout": "1,2,2"}""", HttpStatusCode.Accepted)]
    [InlineData("""{"layout": null}""", HttpStatusCode.Accepted)]
    [InlineData("""{"layout": "1,2"}""", HttpStatusCode.BadRequest)]
    [InlineData("1,2,2", HttpStatusCode.BadRequest)]
    public async Task Layout_is_asked_for_in_the_form_of_the_command_line(string body, HttpStatusCode expected)
    {
        await using var server = await ApiServer.StartAsync();

        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var answer = await server.Client.PostAsync("/admin/layout", content, Cancel);

        Assert.Equal(expected, answer.StatusCode);
    }

    [Fact]
    public async Task Layout_that_does_not_fit_is_a_conflict_with_the_reason()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Operator.Refusal = "P = 9 exceeds the 8 layers";

        using var content = new StringContent("""{"layout": "1,9,1"}""", Encoding.UTF8, "application/json");
        using var answer = await server.Client.PostAsync("/admin/layout", content, Cancel);

        Assert.Equal(HttpStatusCode.Conflict, answer.StatusCode);
        Assert.Contains("8 layers", await answer.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"machines\": 5}", null, 202)]
    [InlineData("{\"machines\": 5}", "The fleet may have 0 to 4 machines.", 409)]
    [InlineData("{\"machines\": -1}", null, 400)]
    [InlineData("{\"machines\": 5, \"and\": 1}", null, 400)]
    [InlineData("{}", null, 400)]
    public async Task Size_of_the_fleet_is_asked_for_in_so_many_words(string body, string? refusal, int status)
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Operator.Refusal = refusal;
        using var content = new StringContent(body, System.Text.Encoding.UTF8, "application/json");

        using var answer = await server.Client.PostAsync("/admin/fleet", content, Cancel);

        Assert.Equal(status, (int)answer.StatusCode);
        Assert.Equal(status == 400 ? null : 5, server.Cluster.Operator.Machines);
    }

    [Fact]
    public async Task Timeline_shows_cause_phases_bytes_and_pause()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Operator.Timeline =
        [
            new ReconfigurationRecord(
                new Epoch(2), "node a leaves", DateTimeOffset.UnixEpoch, new LayoutDegrees(1, 4, 1, 8),
                new LayoutDegrees(1, 3, 1, 8),
                [new ReconfigurationPhase("CuttingOver", TimeSpan.FromSeconds(1), TimeSpan.FromMilliseconds(80))],
                new WeightSources(1, 2, 3), 4096, TimeSpan.FromMilliseconds(74), 31, 5, ReconfigurationRecord.Served)
            {
                Gone = [new DepartedNode("a:1#1", NoticedBy.ClosedConnections)],
                Resumed = new Resumption(4, 812, TimeSpan.FromSeconds(0.6)),
            },
        ];

        var text = await server.Client.GetStringAsync("/admin/reconfigurations", Cancel);

        using var json = JsonDocument.Parse(text);
        var record = Assert.Single(json.RootElement.GetProperty("reconfigurations").EnumerateArray());
        Assert.Equal("(1,4,1)", record.GetProperty("from").GetString());
        Assert.Equal("closed connections", record.GetProperty("gone")[0].GetProperty("noticed_by").GetString());
        Assert.Equal(4, record.GetProperty("requests_resumed").GetInt32());
        Assert.Equal(600, record.GetProperty("resumed_after_ms").GetDouble());
        Assert.Equal(817, record.GetProperty("tokens_recomputed").GetInt64());
        Assert.EndsWith(
            "4 requests went on after 0.6 s; 812 tokens were computed again",
            record.GetProperty("story").GetString(), StringComparison.Ordinal);
        Assert.Equal(74, record.GetProperty("pause_ms").GetDouble());
        Assert.Equal(2, record.GetProperty("weights_from_peers").GetInt64());
        Assert.Equal(80, record.GetProperty("phases")[0].GetProperty("duration_ms").GetDouble());
    }
}

/// <summary>A planner that does what it is asked, or refuses.</summary>
internal sealed class FakeOperator : IClusterOperator, IFleetOperator
{
    public int? Machines { get; private set; }

    public FleetProtocol.FleetReport? Report { get; set; }

    public Task<FleetProtocol.FleetReport?> ReportAsync(CancellationToken cancel) => Task.FromResult(Report);

    public Task<string?> ChangeSizeAsync(int machines, bool isMore, CancellationToken cancel)
    {
        Machines = machines;
        return Task.FromResult(Refusal);
    }

    public string? Refusal { get; set; }

    public List<(string Node, TimeSpan Grace)> Preempted { get; } = [];

    public ImmutableArray<ReconfigurationRecord> Timeline { get; set; } = [];

    public Task<string?> PreemptAsync(string node, TimeSpan grace, CancellationToken cancel)
    {
        Preempted.Add((node, grace));
        return Task.FromResult(Refusal);
    }

    public List<LayoutDegrees?> Wanted { get; } = [];

    public Task<string?> ChangeLayoutAsync(LayoutDegrees? wanted, CancellationToken cancel)
    {
        Wanted.Add(wanted);
        return Task.FromResult(Refusal);
    }

    public List<LayoutObjective?> Objectives { get; } = [];

    public Task ChangeObjectiveAsync(LayoutObjective? objective, CancellationToken cancel)
    {
        Objectives.Add(objective);
        return Task.CompletedTask;
    }

    public ClusterProtocol.FleetTold Fleet { get; set; } = new(null, []);

    public Task<ClusterProtocol.FleetTold> FleetAsync(CancellationToken cancel) => Task.FromResult(Fleet);

    public Task<string> PlanningInputsAsync(CancellationToken cancel) =>
        Task.FromResult(PlanningInputsJson.Write(new PlanningRecord(null, null, null)));

    public Task<ImmutableArray<ReconfigurationRecord>> TimelineAsync(CancellationToken cancel) =>
        Task.FromResult(Timeline);
}
