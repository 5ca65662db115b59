using System.Collections.Concurrent;
using System.Collections.Immutable;

namespace SpotServe.Actors.Metrics;

/// <summary>All series of one instrument. Thread-safe: many threads record while one reads.</summary>
/// <param name="seriesMax">Sets of labels that are kept apart.</param>
internal sealed class InstrumentSeries(MetricDescription metric, int seriesMax)
{
    private readonly ConcurrentDictionary<string, Cell> _cells = [];
    private readonly Cell _unlabelled = new(metric);

    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        // What happens for each token has no labels.
        if (tags.IsEmpty) _unlabelled.Record(value);
        else CellOf(LabelText.Of(tags)).Record(value);
    }

    public void ForgetGauges()
    {
        if (metric.Kind != MetricKind.Gauge) return;
        _cells.Clear();
        _unlabelled.Forget();
    }

    public MetricFamily Read() => new(
        metric,
        [
            .. _unlabelled.IsUsed ? [_unlabelled.Read("")] : Array.Empty<MetricSeries>(),
            .. _cells.OrderBy(cell => cell.Key, StringComparer.Ordinal).Select(cell => cell.Value.Read(cell.Key)),
        ]);

    private Cell CellOf(string labels)
    {
        if (_cells.TryGetValue(labels, out var known)) return known;
        // Two threads may both pass the bound at once; it is exceeded by as many threads as record, at most.
        return _cells.GetOrAdd(_cells.Count < seriesMax ? labels : LabelText.Overflow, _ => new Cell(metric));
    }

    /// <summary>One series as it grows.</summary>
    private sealed class Cell(MetricDescription metric)
    {
        private readonly long[] _buckets =
            metric.Kind == MetricKind.Histogram ? new long[metric.Bounds.Length + 1] : [];

        private double _value;
        private volatile bool _isUsed;

        public bool IsUsed => _isUsed;

        public void Record(double value)
        {
            // A value that is no number would spoil the sum for ever, and a counter never goes back.
            if (!double.IsFinite(value) || (value < 0 && metric.Kind != MetricKind.Gauge)) return;
            if (metric.Kind == MetricKind.Gauge) Volatile.Write(ref _value, value);
            else Add(value);
            if (_buckets.Length > 0) Interlocked.Increment(ref _buckets[BucketOf(value)]);
            _isUsed = true;
        }

        public void Forget() => _isUsed = false;

        public MetricSeries Read(string labels) => new(
            labels, Volatile.Read(ref _value), [.. _buckets.Select((_, i) => Interlocked.Read(ref _buckets[i]))]);

        private void Add(double value)
        {
            var seen = Volatile.Read(ref _value);
            while (true)
            {
                var found = Interlocked.CompareExchange(ref _value, seen + value, seen);
                if (found.Equals(seen)) return;
                seen = found;
            }
        }

        /// <summary>A bucket's upper end belongs to it.</summary>
        private int BucketOf(double value)
        {
            var index = metric.Bounds.BinarySearch(value);
            return index >= 0 ? index : ~index;
        }
    }
}
