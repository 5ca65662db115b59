using Akka.Event;
using SpotServe.Actors.Hosting;
using Xunit;

namespace SpotServe.Tests.Hosting;

/// <summary>What reaches the terminal while Akka's own loggers do not run.</summary>
public class LastLoggerTests
{
    [Theory]
    [InlineData("akka://spotserve/user/planner", true)]
    [InlineData("remoting (akka://spotserve)", false)]
    [InlineData("remoting-terminator", false)]
    public void Error_is_told_unless_whoever_starts_remoting_tells_it(string source, bool told) =>
        Assert.Equal(told, LastLogger.IsWorthALine(new Error(null, source, typeof(string), "terminated abruptly")));

    [Fact]
    public void What_is_not_broken_is_not_told() =>
        Assert.False(LastLogger.IsWorthALine(new Warning("akka://spotserve/user", typeof(string), "slow")));
}
