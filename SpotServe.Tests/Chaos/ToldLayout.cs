using System.Text.RegularExpressions;
using SpotServe.Tests.EndToEnd;

namespace SpotServe.Tests.Chaos;

/// <summary>The newest layout that a seed has told of on its terminal: which node has which position.</summary>
internal sealed partial class ToldLayout
{
    private readonly Dictionary<string, string> _positions;

    private ToldLayout(Dictionary<string, string> positions) => _positions = positions;

    public static ToldLayout Newest(SeedProcess seed)
    {
        var lines = seed.Output.Split('\n');
        var first = Array.FindLastIndex(lines, line => Beginning().IsMatch(line)) + 1;
        return new ToldLayout(lines.Skip(first).Select(line => Place().Match(line)).TakeWhile(place => place.Success)
            .ToDictionary(place => place.Groups["node"].Value, place => place.Groups["position"].Value));
    }

    /// <summary>"d,p,m"; null where the layout does not use the node.</summary>
    public string? PositionOf(SeedProcess node) =>
        node.ClusterAddress is { } address ? _positions.GetValueOrDefault(address) : null;

    /// <summary>Whether the node runs the scheduler of a replica.</summary>
    public bool IsLeader(SeedProcess node) => PositionOf(node)?.EndsWith(",0,0", StringComparison.Ordinal) == true;

    [GeneratedRegex(@"^  epoch \d+: layout")]
    private static partial Regex Beginning();

    [GeneratedRegex(@"^    \((?<position>[\d,]+)\) layers .* on (?<node>[^#]+)#")]
    private static partial Regex Place();
}
