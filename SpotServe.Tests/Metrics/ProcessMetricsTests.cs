using System.Diagnostics.Metrics;
using SpotServe.Actors.Metrics;
using Xunit;

namespace SpotServe.Tests.Metrics;

public sealed class ProcessMetricsTests : IDisposable
{
    private readonly Meter _meter = new($"test-{Guid.NewGuid()}");
    private readonly ProcessMetrics _metrics;

    public ProcessMetricsTests() =>
        _metrics = new ProcessMetrics(instrument => instrument.Meter.Name == _meter.Name);

    public void Dispose()
    {
        _metrics.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public void Counter_has_the_sum_for_each_set_of_labels_whatever_their_order()
    {
        var counter = _meter.CreateCounter<long>("test.bytes_total");

        counter.Add(2, new("kind", "pages"), new("source", "peer"));
        counter.Add(3, new("source", "peer"), new("kind", "pages"));
        counter.Add(5, new KeyValuePair<string, object?>("kind", "weights"));

        Assert.Equal(
            [("kind=\"pages\",source=\"peer\"", 5d), ("kind=\"weights\"", 5d)],
            Series("test_bytes_total").Select(series => (series.Labels, series.Value)));
    }

    [Fact]
    public void Histogram_counts_a_value_in_the_first_bucket_whose_end_it_does_not_exceed()
    {
        var histogram = _meter.CreateHistogram<double>(
            "test.seconds", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [1, 2] });

        foreach (var value in (double[])[0.5, 1, 1.5, 2, 9, double.NaN, -1]) histogram.Record(value);

        var series = Assert.Single(Series("test_seconds"));
        Assert.Equal([2, 2, 1], series.Buckets);
        Assert.Equal(14, series.Value);
    }

    [Fact]
    public void No_addition_is_lost_when_many_threads_record()
    {
        var counter = _meter.CreateCounter<long>("test.all_total");
        var histogram = _meter.CreateHistogram<double>("test.all_seconds");

        Parallel.For(0, 10_000, i =>
        {
            counter.Add(1, new KeyValuePair<string, object?>("part", i % 3));
            histogram.Record(1);
        });

        Assert.Equal(10_000, Series("test_all_total").Sum(series => series.Value));
        Assert.Equal(10_000, Assert.Single(Series("test_all_seconds")).Count);
    }

    [Fact]
    public void Labels_beyond_the_bound_are_counted_together()
    {
        var counter = _meter.CreateCounter<long>("test.many_total");

        for (var i = 0; i < 1000; i++) counter.Add(1, new KeyValuePair<string, object?>("id", i));

        var series = Series("test_many_total");
        Assert.Equal(ProcessMetrics.SeriesMax + 1, series.Count);
        Assert.Equal(1000, series.Sum(one => one.Value));
        Assert.Equal(1000 - ProcessMetrics.SeriesMax, series.Single(one => one.Labels == LabelText.Overflow).Value);
    }

    [Fact]
    public void Gauge_shows_what_is_there_now_and_nothing_of_what_has_gone()
    {
        var live = new LiveGauges<string>();
        _meter.CreateObservableGauge(
            "test.length", () => live.Observe(word => word.Length, word => new("word", word)));
        var (one, other) = (new object(), new object());

        live.Show(one, "one");
        live.Show(other, "other");
        var both = Series("test_length").Select(series => series.Value).ToArray();
        live.Remove(other);
        live.Show(one, "four");

        Assert.Equal([3, 5], both);
        Assert.Equal([("word=\"four\"", 4d)], Series("test_length").Select(series => (series.Labels, series.Value)));
    }

    [Fact]
    public void A_gauge_that_throws_takes_no_other_metric_with_it()
    {
        _meter.CreateObservableGauge("test.broken", double () => throw new InvalidOperationException("broken"));
        _meter.CreateObservableGauge("test.sound", () => 1d);

        Assert.Equal(1, Assert.Single(Series("test_sound")).Value);
    }

    [Fact]
    public void Labels_hold_nothing_that_would_need_an_escape()
    {
        var text = LabelText.Of([new("why", "a\"b\\c\nd")]);

        Assert.Equal("why=\"a_b_c_d\"", text);
        Assert.True(LabelText.IsValid(text));
        Assert.All(
            (string[])["a", "a=", "a=\"", "a=\"b", "a=\"b\",", "a=\"b\"c", "A=\"b\"", "a=\"b\nc\"", "=\"b\""],
            wrong => Assert.False(LabelText.IsValid(wrong), wrong));
    }

    private List<MetricSeries> Series(string name) =>
        [.. _metrics.Read().Where(family => family.Metric.Name == name).SelectMany(family => family.Series)];
}
