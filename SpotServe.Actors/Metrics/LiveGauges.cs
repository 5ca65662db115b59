using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace SpotServe.Actors.Metrics;

/// <summary>
/// Those of a kind that live in this process now, each with what it said of itself last. Gauges read it: what has ended
/// is observed no more. Thread-safe.
/// </summary>
internal sealed class LiveGauges<T>
    where T : class
{
    private readonly ConcurrentDictionary<object, T> _said = [];

    /// <param name="who">Whose word it is; it replaces the one before.</param>
    public void Show(object who, T word) => _said[who] = word;

    public void Remove(object who) => _said.TryRemove(who, out _);

    /// <summary>One measurement of each that is there.</summary>
    public IEnumerable<Measurement<double>> Observe(
        Func<T, double> value, Func<T, KeyValuePair<string, object?>>? tag = null)
    {
        foreach (var word in _said.Values)
        {
            yield return tag is null
                ? new Measurement<double>(value(word))
                : new Measurement<double>(value(word), tag(word));
        }
    }

    /// <summary>Several measurements of each that is there.</summary>
    public IEnumerable<Measurement<double>> Observe(Func<T, IEnumerable<Measurement<double>>> values) =>
        _said.Values.SelectMany(values);
}
