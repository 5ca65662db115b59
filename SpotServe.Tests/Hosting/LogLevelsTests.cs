using Microsoft.Extensions.Logging;
using SpotServe.Actors.Hosting;
using SpotServe.Tests.Tidy;
using Xunit;

namespace SpotServe.Tests.Hosting;

public sealed class LogLevelsTests
{
    [Theory]
    [InlineData("", "SpotServe.Actors.Planner.PlannerActor", LogLevel.Information)]
    [InlineData("", "Akka.Cluster.Cluster", LogLevel.Information)]
    [InlineData("", "Microsoft.AspNetCore.Server.Kestrel", LogLevel.Warning)]
    [InlineData("debug", "SpotServe.Seed.Api.ApiEdge", LogLevel.Debug)]
    [InlineData("debug", "Akka.Cluster.Cluster", LogLevel.Information)]
    [InlineData("warning,Planner=debug", "SpotServe.Actors.Planner.PlannerActor", LogLevel.Debug)]
    [InlineData("warning,Planner=debug", "SpotServe.Actors.Cluster.NodeActor", LogLevel.Warning)]
    [InlineData("planner = trace , akka=error", "Akka.Remote.Remoting", LogLevel.Error)]
    [InlineData("Microsoft=information", "Microsoft.AspNetCore.Server.Kestrel", LogLevel.Information)]
    public void Area_is_logged_from_its_own_level_on_or_from_that_of_all(string stated, string category, LogLevel from)
    {
        var levels = LogLevels.Read(stated.Length == 0 ? [] : [stated]);

        foreach (var read in (LogLevels[])[levels, LogLevels.Read([levels.ToString()])])
        {
            var area = LogLevels.AreaOf(category);
            Assert.True(read.IsEnabled(area, from));
            Assert.False(read.IsEnabled(area, from - 1));
        }
    }

    [Fact]
    public void Nothing_is_logged_of_an_area_whose_level_is_none() =>
        Assert.False(LogLevels.Read(["Planner=none"]).IsEnabled("Planner", LogLevel.Critical));

    [Theory]
    [InlineData("Plannner=debug", "there is no area Plannner. Areas are Akka, Api")]
    [InlineData("Planner=loud", "loud is no level; it must be one of trace, debug")]
    [InlineData("loud", "loud is no level")]
    [InlineData("1", "1 is no level")]
    [InlineData("a=b=c", "write LEVEL or AREA=LEVEL")]
    public void What_is_no_level_is_refused_with_what_would_do(string text, string said) =>
        Assert.Contains(
            said, Assert.Throws<UsageException>(() => LogLevels.Read([text])).Message, StringComparison.Ordinal);

    [Fact]
    public void Every_folder_with_code_is_an_area()
    {
        var folders = ((string[])["SpotServe.Actors", "SpotServe.Seed", "SpotServe.Node"])
            .SelectMany(project => SourceFile.Below(project, ".cs"))
            .Select(file => file.Path.Split('/'))
            .Where(path => path.Length > 2)
            .Select(path => path[1])
            .Distinct();

        Assert.Equal(folders.Concat(["Akka", "Microsoft"]).Distinct().Order(StringComparer.Ordinal), LogLevels.Areas);
    }
}
