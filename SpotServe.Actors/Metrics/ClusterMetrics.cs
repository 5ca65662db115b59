using System.Collections.Immutable;

namespace SpotServe.Actors.Metrics;

/// <summary>
/// The cluster's metrics out of its processes' reports. A counter or histogram is the sum of what all processes have
/// added since this control node heard of them: what a lost node had counted stays, so that none goes backwards, and
/// nodes that come and go leave no series behind. A gauge has its process as a label and goes with it. Thread-safe.
/// </summary>
internal sealed class ClusterMetrics(TimeProvider clock) : IClusterMetrics
{
    /// <summary>A process's gauges are shown for so long after its last report, which comes every second.</summary>
    public static readonly TimeSpan FreshFor = TimeSpan.FromSeconds(5);

    /// <summary>So long what a process reported last is kept, for the case that it comes back: counting it from the
    /// beginning again would count it twice.</summary>
    public static readonly TimeSpan KeptFor = TimeSpan.FromHours(1);

    /// <summary>Processes that are kept; a further one takes the place of the one that is silent for longest.</summary>
    public const int SourcesMax = 4096;

    private readonly Lock _lock = new();
    private readonly Dictionary<Guid, Source> _sources = [];
    private readonly SortedDictionary<string, Dictionary<string, MetricSeries>> _totals = new(StringComparer.Ordinal);
    private readonly Dictionary<string, MetricDescription> _metrics = [];

    /// <summary>Takes a process's report. One that is not newer than the last one changes nothing.</summary>
    /// <param name="number">Grows with each report of the process.</param>
    /// <param name="node">Address of the process: the label of its gauges.</param>
    public void Take(Guid process, long number, string node, ImmutableArray<MetricFamily> families)
    {
        lock (_lock)
        {
            var now = clock.GetUtcNow();
            _sources.TryGetValue(process, out var known);
            if (known is not null && number <= known.Number) return;
            if (known is null) MakeRoom(now);
            foreach (var family in families)
            {
                _metrics[family.Metric.Name] = family.Metric;
                if (family.Metric.Kind != MetricKind.Gauge) Add(family, known);
            }

            _sources[process] = new Source(number, node, now, families);
        }
    }

    public MetricsSnapshot Read()
    {
        lock (_lock)
        {
            var now = clock.GetUtcNow();
            var totals = _totals.Select(total => new MetricFamily(
                _metrics[total.Key],
                [.. total.Value.Values.OrderBy(series => series.Labels, StringComparer.Ordinal)]));
            return new MetricsSnapshot(
                now,
                [.. totals.Concat(Gauges(now)).OrderBy(family => family.Metric.Name, StringComparer.Ordinal)]);
        }
    }

    public MetricFamily? Total(string name)
    {
        lock (_lock)
        {
            return _totals.TryGetValue(name, out var total)
                ? new MetricFamily(_metrics[name], [.. total.Values])
                : null;
        }
    }

    private void Add(MetricFamily family, Source? known)
    {
        if (!_totals.TryGetValue(family.Metric.Name, out var totals))
            _totals.Add(family.Metric.Name, totals = []);
        var before = known?.Find(family.Metric.Name);
        foreach (var series in family.Series)
        {
            var was = before?.Series.FirstOrDefault(old => old.Labels == series.Labels);
            var added = was is null ? series : SeriesMath.Added(was, series);
            var isNew = !totals.ContainsKey(series.Labels) && totals.Count >= ProcessMetrics.SeriesMax;
            var labels = isNew ? LabelText.Overflow : series.Labels;
            totals[labels] = totals.TryGetValue(labels, out var total)
                ? SeriesMath.Sum(total, added)
                : added with { Labels = labels };
        }
    }

    /// <summary>Where two processes had one address within seconds, the later report counts.</summary>
    private IEnumerable<MetricFamily> Gauges(DateTimeOffset now)
    {
        var latest = new Dictionary<(string Name, string Labels), MetricSeries>();
        foreach (var source in _sources.Values.Where(source => now - source.At <= FreshFor).OrderBy(s => s.At))
        {
            var node = LabelText.Of("node", source.Node);
            foreach (var family in source.Families.Where(family => family.Metric.Kind == MetricKind.Gauge))
            {
                foreach (var series in family.Series)
                {
                    var labels = LabelText.Join(series.Labels, node);
                    latest[(family.Metric.Name, labels)] = series with { Labels = labels };
                }
            }
        }

        return latest.GroupBy(one => one.Key.Name, one => one.Value).Select(group => new MetricFamily(
            _metrics[group.Key], [.. group.OrderBy(series => series.Labels, StringComparer.Ordinal)]));
    }

    private void MakeRoom(DateTimeOffset now)
    {
        foreach (var (process, source) in _sources.ToArray())
        {
            if (now - source.At > KeptFor) _sources.Remove(process);
        }

        if (_sources.Count >= SourcesMax) _sources.Remove(_sources.MinBy(source => source.Value.At).Key);
    }

    private sealed record Source(
        long Number, string Node, DateTimeOffset At, ImmutableArray<MetricFamily> Families)
    {
        public MetricFamily? Find(string name) => Families.FirstOrDefault(family => family.Metric.Name == name);
    }
}
