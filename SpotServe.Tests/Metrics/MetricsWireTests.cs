using System.Collections.Immutable;
using CsCheck;
using SpotServe.Actors.Metrics;
using Xunit;

namespace SpotServe.Tests.Metrics;

/// <summary>Metrics as bytes between processes, and as text for Prometheus.</summary>
public sealed class MetricsWireTests
{
    private static readonly ImmutableArray<MetricFamily> Report =
    [
        .. ClusterMetricsTests.Report(7),
        new(
            new("vllm:tokens_total", MetricKind.Counter, "{token}", "Tokens.", []),
            [new("a=\"b\"", 3_000_000_000, [])]),
    ];

    private static readonly Dictionary<string, MetricDescription> Known =
        Report.ToDictionary(family => family.Metric.Name, family => family.Metric);

    [Fact]
    public void Report_comes_out_as_it_went_in()
    {
        var read = MetricsCodec.Decode(MetricsCodec.Encode(Report)!.Value, Known);

        Assert.Equal(Flat(Report), Flat(read));
    }

    [Fact]
    public void Damaged_report_is_refused_or_read_and_never_breaks_anything()
    {
        var sound = MetricsCodec.Encode(Report)!.Value;
        Gen.Select(Gen.Int[0, sound.Length - 1], Gen.Byte, Gen.Int[0, sound.Length]).Sample(damage =>
        {
            var (at, with, length) = damage;
            var bytes = sound.SetItem(at, with)[..length];
            try
            {
                foreach (var series in MetricsCodec.Decode(bytes, Known).SelectMany(family => family.Series))
                {
                    Assert.True(LabelText.IsValid(series.Labels));
                    Assert.All(series.Buckets, count => Assert.True(count >= 0));
                }
            }
            catch (InvalidDataException)
            {
                // Refused.
            }
        });
    }

    [Fact]
    public void Report_of_a_metric_that_is_not_known_is_refused() => Assert.Throws<InvalidDataException>(
        () => MetricsCodec.Decode(MetricsCodec.Encode(Report)!.Value, MetricCatalogue.All));

    [Fact]
    public void Report_that_is_too_long_is_not_sent()
    {
        var series = Enumerable.Range(0, 64).Select(i => new MetricSeries($"a=\"{new string('x', 240)}{i}\"", 1, []));
        var family = new MetricFamily(Known["vllm:tokens_total"], [.. series]);

        Assert.NotNull(MetricsCodec.Encode([family]));
        Assert.Null(MetricsCodec.Encode([family, family, family, family]));
    }

    [Fact]
    public void Text_is_what_Prometheus_reads()
    {
        var text = PrometheusText.Write(new MetricsSnapshot(default, Report), "a/b \"c\"");

        Assert.Equal(
            """
            # HELP spotserve_things_total Things.
            # TYPE spotserve_things_total counter
            spotserve_things_total 7
            # HELP spotserve_time_seconds Times.
            # TYPE spotserve_time_seconds histogram
            spotserve_time_seconds_bucket{le="1"} 7
            spotserve_time_seconds_bucket{le="2"} 7
            spotserve_time_seconds_bucket{le="+Inf"} 7
            spotserve_time_seconds_sum 7
            spotserve_time_seconds_count 7
            # HELP spotserve_level Level.
            # TYPE spotserve_level gauge
            spotserve_level 7
            # HELP vllm:tokens_total Tokens.
            # TYPE vllm:tokens_total counter
            vllm:tokens_total{a="b",model_name="a/b _c_"} 3000000000

            """,
            text);
    }

    private static IEnumerable<string> Flat(IEnumerable<MetricFamily> families) => families.SelectMany(
        family => family.Series.Select(series =>
            $"{family.Metric.Name} {series.Labels} {series.Value} {string.Join(',', series.Buckets)}"));
}
