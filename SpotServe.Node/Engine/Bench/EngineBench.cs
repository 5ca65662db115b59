using System.Diagnostics;
using SpotServe.Actors.Planning;

namespace SpotServe.Node.Engine.Bench;

/// <summary>What to measure.</summary>
/// <param name="Threads">Threads of the whole process, shared out among the ranks of a stage.</param>
/// <param name="Context">Tokens in the cache of each sequence when decoding begins.</param>
public sealed record BenchOptions(
    string Device,
    BenchShape Shape,
    ElementType Type,
    int Batch,
    int Stages,
    int Ranks,
    int Threads,
    int Context,
    int DecodeSteps,
    int Rounds,
    string? TorchLib);

/// <summary>One round's figures.</summary>
/// <param name="ReadGigabytes">Memory read bandwidth by as many threads, measured just before, in GB/s.</param>
public sealed record BenchRound(double DecodeMilliseconds, double PrefillTokensPerSecond, double ReadGigabytes);

/// <summary>All rounds of a measurement.</summary>
/// <param name="StepBytes">Bytes of weights that a decode step reads, all ranks and stages together.</param>
public sealed record BenchResult(
    BenchOptions Options, string Device, long StepBytes, long WeightBytes, IReadOnlyList<BenchRound> Rounds);

/// <summary>
/// Measures an engine of a known shape with made weights. Each round reads memory first, so that a figure stands
/// beside the bandwidth that the machine gave at that moment.
/// </summary>
public static class EngineBench
{
    /// <summary>Measures; takes the model's memory and, for the read probe, half a gigabyte.</summary>
    /// <exception cref="ArgumentException">The layout does not fit the shape, or the context is too long.</exception>
    public static BenchResult Run(BenchOptions options, Action<string> log)
    {
        using var subject = BenchSubject.Make(options, log);
        var rounds = new List<BenchRound>();
        for (var round = 0; round < options.Rounds; round++)
        {
            var read = MemoryProbe.ReadGigabytesPerSecond(subject.Device, options.Threads);
            var prefill = MeasurePrefill(subject.Workload);
            var decode = MeasureDecode(subject.Workload, options);
            rounds.Add(new BenchRound(decode, prefill, read));
            log($"round {round + 1}: decode {decode:0.00} ms/step, prefill {prefill:0} tokens/s, read {read:0.0} GB/s");
        }

        return new BenchResult(
            options, TorchDevices.Describe(subject.Device, options.Threads),
            options.Shape.WeightsRead * options.Type.Bytes(),
            subject.Replica.Engines.Sum(engine => engine.WeightBytes), rounds);
    }

    private static double MeasurePrefill(BenchWorkload workload)
    {
        workload.Prefill(0, BenchSubject.PrefillTokens);
        var clock = Stopwatch.StartNew();
        workload.Prefill(0, BenchSubject.PrefillTokens);
        return BenchSubject.PrefillTokens / clock.Elapsed.TotalSeconds;
    }

    private static double MeasureDecode(BenchWorkload workload, BenchOptions options)
    {
        workload.FillContext(options.Context, BenchSubject.PrefillTokens);
        for (var i = 0; i < BenchSubject.WarmSteps; i++) workload.Decode(options.Context + i);
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < options.DecodeSteps; i++) workload.Decode(options.Context + BenchSubject.WarmSteps + i);
        return clock.Elapsed.TotalMilliseconds / options.DecodeSteps;
    }
}
