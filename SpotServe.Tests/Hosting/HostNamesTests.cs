using SpotServe.Actors.Hosting;
using Xunit;

namespace SpotServe.Tests.Hosting;

public sealed class HostNamesTests
{
    [Theory]
    [InlineData("localhost", "127.0.0.1")]
    [InlineData("LOCALHOST", "127.0.0.1")]
    [InlineData("10.0.0.1", "10.0.0.1")]
    [InlineData("seed.example", "seed.example")]
    public void Machine_has_one_spelling(string given, string host) =>
        Assert.Equal((host, null), HostNames.Own("--host", given));

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("::")]
    [InlineData("*")]
    [InlineData("")]
    public void Address_that_nobody_can_reach_is_refused_with_what_to_give_instead(string given)
    {
        var (host, refusal) = HostNames.Own("--host", given);

        Assert.Null(host);
        Assert.Contains("--host", refusal, StringComparison.Ordinal);
        Assert.Contains("others", refusal, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("localhost:5110", "127.0.0.1:5110")]
    [InlineData("seed:1", "seed:1")]
    [InlineData("10.0.0.1:65535", "10.0.0.1:65535")]
    public void Peer_is_spelt_as_it_spells_itself(string given, string endpoint) =>
        Assert.Equal((endpoint, null), HostNames.Peer("--seed", given));

    [Theory]
    [InlineData("localhost")]
    [InlineData(":5110")]
    [InlineData("seed:0")]
    [InlineData("seed:65536")]
    [InlineData("seed:-1")]
    [InlineData("seed:five")]
    [InlineData("http://seed:5110")]
    [InlineData("a b:5110")]
    [InlineData("0.0.0.0:5110")]
    [InlineData("")]
    public void Peer_that_cannot_be_is_refused(string given)
    {
        var (endpoint, refusal) = HostNames.Peer("--seed", given);

        Assert.Null(endpoint);
        Assert.StartsWith("--seed", refusal, StringComparison.Ordinal);
    }
}
