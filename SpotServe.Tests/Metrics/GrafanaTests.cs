using System.Text.Json;
using System.Text.RegularExpressions;
using SpotServe.Tests.Tidy;
using Xunit;

namespace SpotServe.Tests.Metrics;

/// <summary>The dashboard and the alerts that come with the containers ask for metrics that exist.</summary>
public sealed partial class GrafanaTests
{
    [Fact]
    public void Queries_of_the_dashboard_and_of_the_alerts_name_metrics_that_are_exported()
    {
        var known = Metric().Matches(Read("docs/metrics.md"))
            .Select(match => match.Value).ToHashSet(StringComparer.Ordinal);
        using var dashboard = JsonDocument.Parse(Read("docker/grafana/spotserve.json"));
        string[] queries =
        [
            .. dashboard.RootElement.GetProperty("panels").EnumerateArray()
                .SelectMany(panel => panel.GetProperty("targets").EnumerateArray())
                .Select(target => target.GetProperty("expr").GetString()!),
            .. Read("docker/alerts.yml").Split('\n').Where(line => line.Contains("expr: ", StringComparison.Ordinal)),
        ];

        Assert.True(queries.Length > 20, $"only {queries.Length} queries");
        var asked = queries.SelectMany(query => Metric().Matches(query)).Select(match => Plain(match.Value)).Distinct();
        Assert.DoesNotContain(asked, name => !known.Contains(name));
    }

    private static string Read(string path) => File.ReadAllText(Path.Combine(Checkout.Root, path));

    /// <summary>A histogram is asked for by its parts.</summary>
    private static string Plain(string name) => Part().Replace(name, "");

    [GeneratedRegex(@"\b(?:vllm:|spotserve_)\w+")]
    private static partial Regex Metric();

    [GeneratedRegex("_(?:bucket|sum|count)$")]
    private static partial Regex Part();
}
