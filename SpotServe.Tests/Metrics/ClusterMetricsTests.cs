using System.Collections.Immutable;
using CsCheck;
using SpotServe.Actors.Metrics;
using Xunit;

namespace SpotServe.Tests.Metrics;

public sealed class ClusterMetricsTests
{
    private static readonly MetricDescription Counter =
        new("spotserve_things_total", MetricKind.Counter, "1", "Things.", []);

    private static readonly MetricDescription Histogram =
        new("spotserve_time_seconds", MetricKind.Histogram, "s", "Times.", [1, 2]);

    private static readonly MetricDescription Gauge = new("spotserve_level", MetricKind.Gauge, "1", "Level.", []);

    private readonly ManualClock _clock = new();

    /// <summary>Processes count on and report; reports are lost, come twice and late, and processes end.</summary>
    [Fact]
    public void Totals_never_go_backwards_and_are_what_all_processes_have_reported() =>
        Gen.Select(Gen.Int[0, 4], Gen.Int[0, 9], Gen.Int[0, 5]).Array[1, 60].Sample(beats =>
        {
            var cluster = new ClusterMetrics(_clock);
            var processes = Enumerable.Range(0, 5).Select(_ => Guid.NewGuid()).ToArray();
            var counted = new int[5];
            var heard = new int[5];
            var numbers = new long[5];
            var sent = new List<(int Process, long Number, int Value)>();
            var before = 0d;
            foreach (var (process, added, fate) in beats)
            {
                counted[process] += added;
                sent.Add((process, ++numbers[process], counted[process]));
                // 0: lost; 1: an old one comes once more instead; else it comes.
                var report = fate == 1 ? sent[sent.Count / 2] : sent[^1];
                if (fate > 0)
                {
                    Take(cluster, processes[report.Process], report.Number, report.Value);
                    heard[report.Process] = Math.Max(heard[report.Process], report.Value);
                }

                var snapshot = cluster.Read();
                var total = snapshot.Sum(Counter.Name);
                Assert.True(total >= before);
                before = total;
                Assert.Equal(heard.Sum(), total);
                Assert.Equal(heard.Sum(), snapshot.Count(Histogram.Name));
            }
        });

    [Fact]
    public void Gauge_goes_with_its_process_and_the_counter_stays()
    {
        var cluster = new ClusterMetrics(_clock);
        var (one, other) = (Guid.NewGuid(), Guid.NewGuid());
        Take(cluster, one, 1, 3, "10.0.0.1:5000");
        Take(cluster, other, 1, 4, "10.0.0.2:5000");
        Assert.Equal(7, cluster.Read().Sum(Gauge.Name));

        _clock.Advance(ClusterMetrics.FreshFor);
        Take(cluster, other, 2, 4, "10.0.0.2:5000");
        _clock.Advance(TimeSpan.FromSeconds(1));

        var snapshot = cluster.Read();
        Assert.Equal("node=\"10.0.0.2:5000\"", Assert.Single(snapshot.Find(Gauge.Name)!.Series).Labels);
        Assert.Equal(7, snapshot.Sum(Counter.Name));
    }

    [Fact]
    public void Process_that_was_silent_for_long_is_not_counted_twice_when_it_comes_back()
    {
        var cluster = new ClusterMetrics(_clock);
        var one = Guid.NewGuid();
        Take(cluster, one, 1, 3);

        _clock.Advance(TimeSpan.FromMinutes(50));
        Take(cluster, Guid.NewGuid(), 1, 10);
        Take(cluster, one, 2, 5);

        Assert.Equal(15, cluster.Read().Sum(Counter.Name));
    }

    [Fact]
    public void Another_process_at_the_address_of_one_before_gives_one_gauge_and_adds_to_the_counter()
    {
        var cluster = new ClusterMetrics(_clock);
        Take(cluster, Guid.NewGuid(), 1, 3);
        _clock.Advance(TimeSpan.FromSeconds(1));
        Take(cluster, Guid.NewGuid(), 1, 2);

        var snapshot = cluster.Read();

        Assert.Equal(2, Assert.Single(snapshot.Find(Gauge.Name)!.Series).Value);
        Assert.Equal(5, snapshot.Sum(Counter.Name));
    }

    [Fact]
    public void Processes_that_are_kept_are_bounded()
    {
        var cluster = new ClusterMetrics(_clock);

        for (var i = 0; i < ClusterMetrics.SourcesMax + 10; i++) Take(cluster, Guid.NewGuid(), 1, 1, $"node:{i}");

        Assert.Equal(ClusterMetrics.SourcesMax, cluster.Read().Find(Gauge.Name)!.Series.Length);
        Assert.Equal(ClusterMetrics.SourcesMax + 10, cluster.Read().Sum(Counter.Name));
    }

    [Fact]
    public void Difference_of_two_snapshots_is_what_happened_between_them()
    {
        var cluster = new ClusterMetrics(_clock);
        var one = Guid.NewGuid();
        Take(cluster, one, 1, 3);
        var earlier = cluster.Read();
        Take(cluster, one, 2, 8);

        var between = cluster.Read().Since(earlier);

        Assert.Equal(5, between.Sum(Counter.Name));
        Assert.Equal(5, between.Count(Histogram.Name));
        Assert.Equal(8, between.Sum(Gauge.Name));
    }

    [Fact]
    public void Quantile_lies_on_the_line_through_its_bucket()
    {
        var snapshot = new MetricsSnapshot(
            default,
            [new MetricFamily(Histogram, [new("a=\"1\"", 0, [4, 0, 1]), new("a=\"2\"", 0, [0, 4, 1])])]);

        Assert.Equal(0.5, snapshot.Quantile(Histogram.Name, 0.2));
        Assert.Equal(1.25, snapshot.Quantile(Histogram.Name, 0.5)!.Value, 12);
        Assert.Equal(2, snapshot.Quantile(Histogram.Name, 1));
        Assert.Null(snapshot.Quantile("nothing", 0.5));
        Assert.Null(snapshot.Quantile(Counter.Name, 0.5));
    }

    private static void Take(
        ClusterMetrics cluster, Guid process, long number, int value, string node = "10.0.0.1:5000") => cluster.Take(
            process, number, node, Report(value));

    /// <summary>A counter, a histogram with as many values, and a gauge.</summary>
    internal static ImmutableArray<MetricFamily> Report(int value) =>
    [
        new(Counter, [new("", value, [])]),
        new(Histogram, [new("", value, [value, 0, 0])]),
        new(Gauge, [new("", value, [])]),
    ];
}
