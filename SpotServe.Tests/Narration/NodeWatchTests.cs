using SpotServe.Actors.Hosting;
using SpotServe.Seed.Fleet;
using SpotServe.Seed.Narration;
using Xunit;

namespace SpotServe.Tests.Narration;

/// <summary>How the end of a node process is told to a person.</summary>
public sealed class NodeWatchTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("spotserve-test-");
    private readonly StringWriter _output = new();

    public void Dispose()
    {
        _output.Dispose();
        _folder.Delete(recursive: true);
    }

    [Theory]
    [InlineData(0, false, "node process 7 (number 2) has left, as it was told to; its log")]
    [InlineData(1, false, "node process 7 (number 2) ended with exit code 1; its log")]
    [InlineData(137, false, "node process 7 (number 2) ended by signal 9; its log")]
    [InlineData(137, true, "")]
    public void End_of_a_node_is_told_as_what_it_is(int exitCode, bool wasRequested, string told)
    {
        using var logs = new NodeLogs(_folder.FullName, LogFormat.Text, TimeProvider.System);
        var watch = new NodeWatch(nodeCount: 2, logs, _output, CancellationToken.None);

        watch.OnExit(new NodeExit(2, 7, exitCode, wasRequested));

        Assert.StartsWith(told, _output.ToString().Trim(), StringComparison.Ordinal);
        Assert.Equal(told.Length == 0, _output.ToString().Length == 0);
    }
}
