using System.Diagnostics.Metrics;
using System.Reflection;
using SpotServe.Actors.Metrics;
using SpotServe.Tests.Tidy;
using Xunit;

namespace SpotServe.Tests.Metrics;

public sealed class MetricsDocumentTests
{
    private static readonly string Document = Path.Combine(Checkout.Root, "docs", "metrics.md");

    [Fact]
    public void Document_lists_every_metric_with_kind_unit_and_meaning_and_no_other()
    {
        var expected = MetricCatalogue.All.Values.OrderBy(metric => metric.Name, StringComparer.Ordinal)
            .Select(metric =>
                $"| `{metric.Name}` | {metric.Kind.ToString().ToLowerInvariant()} | {metric.Unit} | {metric.Help} |");

        var listed = File.ReadLines(Document)
            .Where(line => line.StartsWith("| `vllm:", StringComparison.Ordinal)
                || line.StartsWith("| `spotserve_", StringComparison.Ordinal));

        Assert.Equal(expected, listed);
    }

    [Fact]
    public void Every_class_with_a_meter_is_collected_and_its_meter_is_named_after_it()
    {
        var classes = typeof(MetricCatalogue).Assembly.GetTypes()
            .Select(type => (Type: type, Meter: type.GetField("Meter", BindingFlags.Static | BindingFlags.NonPublic)))
            .Where(found => found.Meter?.FieldType == typeof(Meter))
            .ToArray();

        Assert.Equal(
            classes.Select(found => found.Type.Name).Order(),
            MetricCatalogue.Classes.Select(type => type.Name).Order());
        Assert.All(classes, found => Assert.Equal(
            $"SpotServe.{found.Type.Name[..^"Metrics".Length]}", ((Meter)found.Meter!.GetValue(null)!).Name));
    }

    [Fact]
    public void Names_follow_Prometheus_and_say_unit_and_kind() => Assert.All(MetricCatalogue.All.Values, metric =>
    {
        Assert.Matches("^(vllm:|spotserve_)[a-z0-9_]+$", metric.Name);
        Assert.NotEmpty(metric.Help);
        Assert.NotEmpty(metric.Unit);
        Assert.Equal(metric.Kind == MetricKind.Histogram, !metric.Bounds.IsEmpty);
        if (metric.Kind == MetricKind.Counter) Assert.EndsWith("_total", metric.Name, StringComparison.Ordinal);
        if (metric.Unit == "s") Assert.EndsWith("_seconds", metric.Name, StringComparison.Ordinal);
    });
}
