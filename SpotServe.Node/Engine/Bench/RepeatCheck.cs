using System.Runtime.InteropServices;

namespace SpotServe.Node.Engine.Bench;

/// <summary>What a repeated decode showed.</summary>
/// <param name="Steps">Steps of one run.</param>
/// <param name="Runs">Times that the same steps were run.</param>
/// <param name="UnequalSteps">Steps whose logits had other bits in some run than in the first.</param>
public sealed record RepeatResult(int Steps, int Runs, int UnequalSteps)
{
    public override string ToString() => UnequalSteps == 0
        ? $"{Steps} decode steps run {Runs} times: equal bits"
        : $"{Steps} decode steps run {Runs} times: {UnequalSteps} steps had other bits in some run";
}

/// <summary>
/// Runs the same decode several times and compares the logits bit by bit: an engine that does not repeat itself cannot
/// go on with a stream token for token after a change.
/// </summary>
public static class RepeatCheck
{
    /// <summary>Decodes <see cref="BenchOptions.DecodeSteps"/> steps, as often as there are rounds.</summary>
    /// <exception cref="ArgumentException">The layout does not fit the shape, or the context is too long.</exception>
    public static RepeatResult Run(BenchOptions options, Action<string> log)
    {
        using var subject = BenchSubject.Make(options, log);
        var runs = new List<ulong[]>();
        for (var run = 0; run < options.Rounds; run++) runs.Add(Decode(subject, options));
        return Compare(runs);
    }

    /// <summary>Counts the steps whose hashes are not the same in all runs.</summary>
    internal static RepeatResult Compare(IReadOnlyList<ulong[]> runs)
    {
        var unequal = Enumerable.Range(0, runs[0].Length)
            .Count(step => runs.Any(run => run[step] != runs[0][step]));
        return new RepeatResult(runs[0].Length, runs.Count, unequal);
    }

    /// <summary>A hash in which every bit and its place count.</summary>
    internal static ulong Hash(ulong start, ReadOnlySpan<float> values)
    {
        var hash = start;
        foreach (var bits in MemoryMarshal.Cast<float, uint>(values))
            hash = ulong.RotateLeft((hash ^ bits) * 0x9E3779B97F4A7C15, 29);
        return hash;
    }

    private static ulong[] Decode(BenchSubject subject, BenchOptions options)
    {
        var hashes = new ulong[options.DecodeSteps];
        var step = 0;
        subject.Workload.FillContext(options.Context, options.PrefillTokens);
        subject.Replica.Drawing.LogitsObserved = (_, logits) => hashes[step] = Hash(hashes[step], logits.Span);
        for (; step < hashes.Length; step++) subject.Workload.Decode(options.Context + step);
        subject.Replica.Drawing.LogitsObserved = null;
        return hashes;
    }
}
