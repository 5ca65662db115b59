using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// How fast the recorded replicas were: of each request that no change of layout disturbed, the time to the first token
/// and between tokens, by the number of sequences that decoded beside it. A line is laid through these for each number
/// of stages and ranks.
/// </summary>
internal sealed class RecordedTimes : ICostModel
{
    /// <summary>Fewer say nothing of a shape; all shapes' samples are taken then.</summary>
    private const int SamplesMin = 8;

    /// <summary>Requests with fewer tokens say nothing of a step.</summary>
    private const int TokensMin = 4;

    private readonly Fit _all;
    private readonly Dictionary<(int Stages, int Ranks), Fit> _fits = [];

    private RecordedTimes(List<Sample> samples)
    {
        _all = Fit.Of(samples);
        foreach (var group in samples.GroupBy(sample => (sample.Degrees.Stages, sample.Degrees.Ranks)))
        {
            if (group.Count() >= SamplesMin) _fits.Add(group.Key, Fit.Of([.. group]));
        }
    }

    /// <exception cref="TraceException">No request was answered undisturbed.</exception>
    public static RecordedTimes Of(string file, RecordedRequests requests, RecordedChanges changes)
    {
        var samples = new List<Sample>();
        var decoding = new Concurrency(requests.Answered.Where(request => request.First is not null)
            .Select(request => (request.First!.Value, request.Last)));
        foreach (var request in requests.Answered)
        {
            if (request.First is not { } first || request.OutputTokens < TokensMin || request.Last <= first
                || changes.Disturbs(request.Arrived, request.Last)
                || changes.ServingAt(first) is not { } layout) continue;
            var beside = decoding.Mean(first, request.Last) / layout.Degrees.Replicas;
            samples.Add(new Sample(
                layout.Degrees, Math.Max(1, beside), (request.Last - first) / (request.OutputTokens - 1),
                first - request.Arrived, request.PromptTokens));
        }

        return samples.Count > 0
            ? new RecordedTimes(samples)
            : throw new TraceException(file, 0, "no request was answered while a layout served undisturbed",
                "record for longer, with requests");
    }

    public bool Knows(ReplicaShape shape) => true;

    public ReplicaCost Cost(ReplicaShape shape, int batch, Workload load, Batching batching)
    {
        var fit = _fits.GetValueOrDefault((shape.Stages.Length, shape.Ranks), _all);
        // What prompts cost the others is in the time between their tokens already.
        return new ReplicaCost(
            batch, fit.PromptToken * load.PromptTokens, fit.Step + (fit.Sequence * batch), Overhead: 0, 1, 1);
    }

    private readonly record struct Sample(
        LayoutDegrees Degrees, double Sequences, double StepSeconds, double FirstSeconds, int PromptTokens);

    /// <param name="Step">Seconds of a step without sequences.</param>
    /// <param name="Sequence">Seconds that each sequence adds.</param>
    /// <param name="PromptToken">Seconds to the first token, a token of the prompt.</param>
    private readonly record struct Fit(double Step, double Sequence, double PromptToken)
    {
        public static Fit Of(List<Sample> samples)
        {
            var prompt = samples.Sum(sample => sample.FirstSeconds)
                / samples.Sum(sample => (double)sample.PromptTokens);
            var n = samples.Average(sample => sample.Sequences);
            var step = samples.Average(sample => sample.StepSeconds);
            var spread = samples.Sum(sample => (sample.Sequences - n) * (sample.Sequences - n));
            var slope = spread <= 0
                ? 0
                : samples.Sum(sample => (sample.Sequences - n) * (sample.StepSeconds - step)) / spread;
            slope = Math.Clamp(slope, 0, step / n);
            return new Fit(step - (slope * n), slope, prompt);
        }
    }

    /// <summary>How many of some intervals are open, on average over another one.</summary>
    private sealed class Concurrency
    {
        private readonly double[] _at;
        private readonly double[] _area;
        private readonly int[] _open;

        public Concurrency(IEnumerable<(double From, double To)> intervals)
        {
            var steps = intervals
                .SelectMany(interval => new (double At, int Step)[] { (interval.From, 1), (interval.To, -1) })
                .OrderBy(step => step.At).ToArray();
            (_at, _area, _open) = (new double[steps.Length], new double[steps.Length], new int[steps.Length]);
            for (var i = 0; i < steps.Length; i++)
            {
                _at[i] = steps[i].At;
                _open[i] = (i > 0 ? _open[i - 1] : 0) + steps[i].Step;
                if (i > 0) _area[i] = _area[i - 1] + (_open[i - 1] * (_at[i] - _at[i - 1]));
            }
        }

        public double Mean(double from, double to) => (Area(to) - Area(from)) / (to - from);

        private double Area(double at)
        {
            var found = Array.BinarySearch(_at, at);
            var i = found >= 0 ? found : ~found - 1;
            return i < 0 ? 0 : _area[i] + (_open[i] * (at - _at[i]));
        }
    }
}

/// <summary>The changes of layout of a recording, in seconds since it began.</summary>
internal sealed class RecordedChanges
{
    /// <summary>A loss is noticed this long after it happened, at most.</summary>
    private const double NoticedAfter = 2;

    private readonly List<(double From, double To, ReconfigurationRecord Change)> _spans;
    private readonly Dictionary<long, Layout> _layouts;

    public RecordedChanges(Recording recording)
    {
        Layouts = [.. recording.Entries.OfType<RecordedEntry.Decided>().DistinctBy(decided => decided.Epoch)];
        _layouts = Layouts.ToDictionary(decided => decided.Epoch, decided => decided.Layout);
        Served = [.. recording.Entries.OfType<RecordedEntry.Changed>().GroupBy(changed => changed.Change.Epoch)
            .OrderBy(group => group.Key).Select(group => group.Last().Change)];
        _spans = [.. Served.Select(change =>
        {
            var from = (change.StartedAt - recording.Begun.At).TotalSeconds;
            var over = change.Phases.IsEmpty ? TimeSpan.Zero : change.Phases.Max(phase => phase.Start + phase.Duration);
            return (from, from + over.TotalSeconds, change);
        })];
    }

    /// <summary>Every decision, in order.</summary>
    public ImmutableArray<RecordedEntry.Decided> Layouts { get; }

    /// <summary>Changes after which a layout served, in order.</summary>
    public ImmutableArray<ReconfigurationRecord> Served { get; }

    public bool Disturbs(double from, double to) =>
        _spans.Exists(span => span.From - NoticedAfter < to && span.To > from);

    /// <summary>Null before the first layout served.</summary>
    public Layout? ServingAt(double seconds)
    {
        var last = _spans.FindLastIndex(span => span.To <= seconds);
        return last < 0 ? null : _layouts.GetValueOrDefault(_spans[last].Change.Epoch.Value);
    }

    /// <summary>Median seconds of a phase, of changes while something served; null when there was none.</summary>
    public double? Median(PlannerPhase phase)
    {
        var seconds = Served.Where(change => change.From is not null).SelectMany(change => change.Phases)
            .Where(timed => timed.Name == phase.ToString())
            .Select(timed => timed.Duration.TotalSeconds).Order().ToList();
        return seconds.Count == 0 ? null : seconds[seconds.Count / 2];
    }
}
