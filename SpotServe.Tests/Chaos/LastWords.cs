using SpotServe.Tests.EndToEnd;

namespace SpotServe.Tests.Chaos;

/// <summary>What the processes of a cluster said last, for the message of a failed test.</summary>
internal static class LastWords
{
    private const int LinesOfSeed = 120;
    private const int LinesOfNode = 30;

    public static string Of(SeedProcess seed, IEnumerable<SeedProcess> nodes)
    {
        string[] log = File.Exists(seed.LogFile) ? File.ReadAllLines(seed.LogFile) : [];
        var said = nodes.Select(node => $"{node.ClusterAddress}:\n{Last(node.Output.Split('\n'), LinesOfNode)}");
        return $"seed:\n{Last(log, LinesOfSeed)}\n{string.Join('\n', said)}";
    }

    private static string Last(string[] lines, int max) => string.Join('\n', lines.TakeLast(max));
}
