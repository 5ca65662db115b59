using SpotServe.Actors.Hosting;
using SpotServe.Seed.Hosting;
using Xunit;

namespace SpotServe.Tests.Hosting;

/// <summary>What `serve --seed` takes.</summary>
public sealed class ServeSeedsTests
{
    private const string Postgres = "Host=db";
    private static readonly string[] Three = ["10.0.0.3:5110", "10.0.0.1:5110", "10.0.0.2:5110"];

    [Fact]
    public void Order_does_not_matter_so_that_all_agree_on_the_founder() => Assert.Equal(
        ["10.0.0.1:5110", "10.0.0.2:5110", "10.0.0.3:5110"],
        ControlSeeds.Read(Three, "10.0.0.2:5110", Postgres));

    [Fact]
    public void No_seeds_is_one_control_node_alone() => Assert.Empty(ControlSeeds.Read([], "127.0.0.1:0", null));

    [Fact]
    public void Several_seeds_without_a_shared_database_are_refused() =>
        Refused(Three, "10.0.0.1:5110", database: null, "--database");

    [Fact]
    public void Seeds_without_this_one_are_refused() => Refused(Three, "10.0.0.4:5110", Postgres, "10.0.0.4:5110");

    [Theory]
    [InlineData("10.0.0.1")]
    [InlineData("10.0.0.1:0")]
    [InlineData(":5110")]
    [InlineData("10.0.0.1:port")]
    public void Malformed_seed_is_refused(string seed) => Refused([seed], seed, Postgres, "HOST:PORT");

    private static void Refused(string[] seeds, string self, string? database, string named)
    {
        var refusal = Assert.Throws<UsageException>(() => ControlSeeds.Read(seeds, self, database));

        Assert.Contains(named, refusal.Message, StringComparison.Ordinal);
    }
}
