using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>The highest load of each ten seconds of the last minutes. Requests come in bursts: between two of them the
/// present rate says little of what the layout has to carry next, and a change of layout that waits for the burst comes
/// too late for it (docs/adr/0084).</summary>
internal sealed record LoadMemory
{
    private static readonly TimeSpan Slice = TimeSpan.FromSeconds(10);

    private ImmutableList<(DateTimeOffset From, Workload Load)> _peaks = [];

    public static LoadMemory None { get; } = new();

    /// <param name="memory">How far back loads count.</param>
    public LoadMemory With(Workload load, TimeSpan memory, DateTimeOffset now)
    {
        var peaks = _peaks.RemoveAll(peak => now - peak.From > memory);
        if (peaks.IsEmpty || now - peaks[^1].From >= Slice) peaks = peaks.Add((now, load));
        else if (load.RequestsPerSecond > peaks[^1].Load.RequestsPerSecond)
            peaks = peaks.SetItem(peaks.Count - 1, (peaks[^1].From, load));
        else if (peaks.Count == _peaks.Count) return this;
        return new LoadMemory { _peaks = peaks };
    }

    /// <summary>The present load, with the highest rate that is remembered.</summary>
    public Workload Planned(Workload present, TimeSpan memory, DateTimeOffset now)
    {
        var highest = present;
        foreach (var (from, load) in _peaks)
        {
            if (now - from <= memory && load.RequestsPerSecond > highest.RequestsPerSecond) highest = load;
        }

        // Lengths are those of now, where something is asked now.
        return present.RequestsPerSecond > 0
            ? present with
            {
                RequestsPerSecond = highest.RequestsPerSecond,
                ArrivalVariation = highest.ArrivalVariation,
            }
            : highest;
    }
}
