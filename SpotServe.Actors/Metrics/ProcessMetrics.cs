using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics.Metrics;

namespace SpotServe.Actors.Metrics;

/// <summary>
/// What this process's instruments have measured. Recording costs a few atomic additions, waits for nobody, and keeps
/// a fixed number of series for each instrument. Thread-safe.
/// </summary>
internal sealed class ProcessMetrics : IDisposable
{
    /// <summary>Sets of labels that are kept apart for each metric; further ones are recorded as
    /// <see cref="LabelText.Overflow"/>.</summary>
    public const int SeriesMax = 64;

    private readonly MeterListener _listener = new();
    private readonly ConcurrentQueue<InstrumentSeries> _instruments = [];
    private readonly Lock _reading = new();

    /// <param name="isCollected">Which instruments to collect, by the name that they are exposed by; null for all of
    /// <see cref="MetricCatalogue"/>.</param>
    public ProcessMetrics(Func<Instrument, bool>? isCollected = null)
    {
        // All instruments are made here, before anybody listens: a listener that is called while a class with
        // instruments is initialised must not need another one.
        var all = MetricCatalogue.All;
        isCollected ??= instrument =>
            instrument.Meter.Name.StartsWith(MetricCatalogue.MeterPrefix, StringComparison.Ordinal)
            && all.ContainsKey(MetricNaming.Describe(instrument).Name);
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (!isCollected(instrument)) return;
            var series = new InstrumentSeries(MetricNaming.Describe(instrument), SeriesMax);
            _instruments.Enqueue(series);
            listener.EnableMeasurementEvents(instrument, series);
        };
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) =>
            ((InstrumentSeries)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) =>
            ((InstrumentSeries)state!).Record(value, tags));
        _listener.Start();
    }

    /// <summary>The one of this process: its instruments are the process's, too, however many actor systems
    /// run.</summary>
    public static ProcessMetrics OfThisProcess => Shared.Instance;

    /// <summary>Tells this process from all others, those that had its address before included.</summary>
    public Guid ProcessId { get; } = Guid.NewGuid();

    /// <summary>All that has been measured until now, in the order of the metrics' names.</summary>
    public ImmutableArray<MetricFamily> Read()
    {
        lock (_reading)
        {
            // A gauge has what is observed now and nothing else: who is gone does not report.
            foreach (var series in _instruments) series.ForgetGauges();
            try
            {
                _listener.RecordObservableInstruments();
            }
            catch (AggregateException)
            {
                // One gauge's callback failed; the others have been read all the same.
                CollectionMetrics.Dropped.Add(1);
            }

            return
            [
                .. _instruments.Select(series => series.Read()).Where(family => !family.Series.IsEmpty)
                    .OrderBy(family => family.Metric.Name, StringComparer.Ordinal),
            ];
        }
    }

    public void Dispose() => _listener.Dispose();

    private static class Shared
    {
        public static ProcessMetrics Instance { get; } = new();
    }
}
