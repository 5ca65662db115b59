using System.Collections.Immutable;
using Amazon.EC2;
using Amazon.Runtime;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Hosting;
using SpotServe.Seed.Fleet;
using Xunit;

namespace SpotServe.Tests.Fleet;

/// <summary>The SDK's real client against a server that speaks EC2's protocol.</summary>
public sealed class Ec2CloudTests : IAsyncLifetime
{
    private static readonly MachinePool Spot = new("g4dn.xlarge", "us-east-1a", true);
    private static readonly MachinePool OnDemand = new("g4dn.xlarge", "us-east-1b", false);
    private FakeEc2 _ec2 = null!;
    private Ec2Cloud _cloud = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _ec2 = await FakeEc2.StartAsync();
        var options = new Ec2Options(
            "llm", "us-east-1", "lt-0123", ["g4dn.xlarge"],
            ImmutableDictionary<string, string>.Empty.Add("us-east-1a", "subnet-a").Add("us-east-1b", "subnet-b"),
            ImmutableDictionary<string, double>.Empty.Add("g4dn.xlarge", 0.526),
            MachinesMax: 8)
        {
            ServiceUrl = _ec2.Url,
        };
        _cloud = new Ec2Cloud(
            new AmazonEC2Client(new BasicAWSCredentials("key", "secret"), Ec2Cloud.Config(options)), options,
            TimeProvider.System);
    }

    public async ValueTask DisposeAsync()
    {
        _cloud.Dispose();
        await _ec2.DisposeAsync();
    }

    [Fact]
    public async Task Order_that_is_given_twice_is_one_tagged_spot_instance_of_its_type_and_zone()
    {
        var order = new LaunchOrder("llm-1", "llm", Spot);

        var once = Assert.IsType<LaunchOutcome.Launched>(await _cloud.LaunchAsync(order, Cancel));
        var again = await _cloud.LaunchAsync(order, Cancel);

        Assert.Equal(once, again);
        var form = Assert.Single(_ec2.Instances).Value.Form;
        Assert.Equal("llm-1", form["ClientToken"]);
        Assert.Equal("lt-0123", form["LaunchTemplate.LaunchTemplateId"]);
        Assert.Equal("one-time", form["InstanceMarketOptions.SpotOptions.SpotInstanceType"]);
        var machine = Assert.Single(await _cloud.ListAsync("llm", Cancel));
        Assert.Equal(new CloudMachine(once.Machine, "llm-1", Spot, MachineStatus.Starting, "10.0.0.7"), machine);
        Assert.Empty(await _cloud.ListAsync("another", Cancel));
    }

    [Fact]
    public async Task Ec2_takes_a_machine_of_the_pool_that_it_has_most_in_and_says_which()
    {
        var other = Spot with { Zone = "us-east-1b" };
        var order = new LaunchOrder("llm-1", "llm", Spot) { Alternatives = [other] };

        var once = await _cloud.LaunchAsync(order, Cancel);
        var again = await _cloud.LaunchAsync(order, Cancel);

        Assert.Equal(other, Assert.IsType<LaunchOutcome.Launched>(once).Pool);
        Assert.Equal(once, again);
        var form = Assert.Single(_ec2.Instances).Value.Form;
        Assert.Equal(
            ("instant", "capacity-optimized-prioritized", "terminate", "1", "spot", "lt-0123"),
            (form["Type"], form["SpotOptions.AllocationStrategy"], form["SpotOptions.InstanceInterruptionBehavior"],
                form["TargetCapacitySpecification.TotalTargetCapacity"],
                form["TargetCapacitySpecification.DefaultTargetCapacityType"],
                form["LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId"]));
        Assert.Equal("subnet-a", form["LaunchTemplateConfigs.1.Overrides.1.SubnetId"]);
        Assert.Equal("0", form["LaunchTemplateConfigs.1.Overrides.1.Priority"]);
        Assert.Equal("1", form["LaunchTemplateConfigs.1.Overrides.2.Priority"]);
        var machine = Assert.Single(await _cloud.ListAsync("llm", Cancel));
        Assert.Equal(("llm-1", other), (machine.Token, machine.Pool));
    }

    [Fact]
    public async Task Order_that_no_pool_can_serve_is_refused_with_ec2s_words()
    {
        _ec2.Empty["spot us-east-1a"] = _ec2.Empty["spot us-east-1b"] = true;
        var order = new LaunchOrder("llm-1", "llm", Spot) { Alternatives = [Spot with { Zone = "us-east-1b" }] };

        var told = await _cloud.LaunchAsync(order, Cancel);

        Assert.Equal(new LaunchOutcome.Refused("InsufficientInstanceCapacity: none left"), told);
    }

    [Fact]
    public async Task On_demand_machine_is_listed_as_one_and_ends_when_it_is_terminated_however_often()
    {
        var launched = await _cloud.LaunchAsync(new LaunchOrder("llm-1", "llm", OnDemand), Cancel);
        var id = Assert.IsType<LaunchOutcome.Launched>(launched).Machine;

        await _cloud.TerminateAsync(id, Cancel);
        await _cloud.TerminateAsync("i-gone", Cancel);

        var machine = Assert.Single(await _cloud.ListAsync("llm", Cancel));
        Assert.Equal((OnDemand, MachineStatus.Ending), (machine.Pool, machine.Status));
    }

    [Theory]
    [InlineData(500, "InsufficientInstanceCapacity", typeof(LaunchOutcome.Refused))]
    [InlineData(400, "InsufficientInstanceCapacity", typeof(LaunchOutcome.Refused))]
    [InlineData(400, "MaxSpotInstanceCountExceeded", typeof(LaunchOutcome.Refused))]
    [InlineData(403, "UnauthorizedOperation", typeof(LaunchOutcome.Refused))]
    [InlineData(503, "RequestLimitExceeded", typeof(LaunchOutcome.Throttled))]
    [InlineData(500, "InternalError", typeof(LaunchOutcome.Unknown))]
    [InlineData(503, "Unavailable", typeof(LaunchOutcome.Unknown))]
    public async Task What_ec2_says_of_a_launch_is_told_apart_and_it_is_asked_once(
        int status, string code, Type outcome)
    {
        _ec2.Failures.Enqueue((status, code));

        var told = await _cloud.LaunchAsync(new LaunchOrder("llm-1", "llm", Spot), Cancel);

        Assert.IsType(outcome, told);
        Assert.Contains(code, told.ToString(), StringComparison.Ordinal);
        Assert.Single(_ec2.Calls);
    }

    [Fact]
    public async Task Server_that_is_not_there_leaves_the_outcome_open_and_fails_a_list()
    {
        await _ec2.DisposeAsync();

        Assert.IsType<LaunchOutcome.Unknown>(
            await _cloud.LaunchAsync(new LaunchOrder("llm-1", "llm", Spot), Cancel));
        await Assert.ThrowsAsync<CloudException>(() => _cloud.ListAsync("llm", Cancel));
        await Assert.ThrowsAsync<CloudException>(() => _cloud.TerminateAsync("i-1", Cancel));
    }

    [Fact]
    public async Task List_of_several_pages_is_read_to_its_end()
    {
        _ec2.PageSize = 2;
        for (var number = 0; number < 5; number++)
            await _cloud.LaunchAsync(new LaunchOrder($"llm-{number}", "llm", Spot), Cancel);

        var machines = await _cloud.ListAsync("llm", Cancel);

        Assert.Equal(5, machines.Select(machine => machine.Id).Distinct().Count());
    }

    [Fact]
    public async Task Newest_spot_price_of_each_zone_and_the_stated_on_demand_price_hold()
    {
        var prices = await _cloud.PricesAsync([Spot, OnDemand], Cancel);

        Assert.Equal([new PoolPrice(Spot, 0.17), new PoolPrice(OnDemand, 0.526)], prices);
    }

    [Theory]
    [InlineData("\"region\": \"r\",", "", "region")]
    [InlineData("\"llm\"", "\"a b\"", "it must be 1 to 40 letters")]
    [InlineData("{\"m\": 1}", "{\"x\": 1}", "x, which is not among types")]
    [InlineData("\"machines_max\"", "\"machine_max\"", "machine_max")]
    [InlineData("\"region\"", "\"allocation\": \"cheapest\", \"region\"", "capacity-optimized or one-pool")]
    public async Task File_that_cannot_be_meant_is_refused_with_what_is_wrong(string right, string wrong, string named)
    {
        const string Right =
            """
            {"cluster": "llm", "region": "r", "launch_template": "t", "types": ["m"],
             "subnets": {"a": "s"}, "on_demand_prices": {"m": 1}, "machines_max": 4}
            """;
        var content = Right.Replace(right, wrong, StringComparison.Ordinal);
        Assert.NotEqual(Right, content);
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, content, Cancel);

        var error = Assert.Throws<UsageException>(() => Ec2Options.Read(file));

        Assert.Contains(named, error.Message, StringComparison.Ordinal);
        File.Delete(file);
    }
}
