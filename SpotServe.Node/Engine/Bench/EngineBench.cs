using System.Diagnostics;

namespace SpotServe.Node.Engine.Bench;

/// <summary>What to measure.</summary>
/// <param name="Threads">Threads of the whole process, shared out among the ranks of a stage.</param>
/// <param name="Context">Tokens in the cache of each sequence when decoding begins.</param>
/// <param name="PrefillTokens">Tokens of the prompt that prefill is measured with, in one chunk.</param>
/// <param name="Devices">GPUs that the ranks of a stage are spread over, from the named one on.</param>
/// <param name="UsePlainOperations">Only libtorch's operations, none of our kernels.</param>
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
    string? TorchLib,
    bool UsePlainOperations = false,
    int PrefillTokens = 512,
    Numerics Numerics = Numerics.Invariant,
    int Devices = 1);

/// <summary>One round's figures.</summary>
/// <param name="ProcessorMilliseconds">Processor time of a decode step, all threads together: what is left to compare
/// where others use the processor, too.</param>
/// <param name="ReadGigabytes">Memory read bandwidth by as many threads, measured just before, in GB/s.</param>
/// <param name="MatrixTeraflops">Rate of a large product of libtorch's in the same type; null on the CPU.</param>
public sealed record BenchRound(
    double DecodeMilliseconds, double ProcessorMilliseconds, double PrefillTokensPerSecond, double ReadGigabytes,
    double? MatrixTeraflops);

/// <summary>All rounds of a measurement.</summary>
/// <param name="Path">What ran the steps.</param>
/// <param name="StepBytes">Bytes of weights that a decode step reads, all ranks and stages together.</param>
/// <param name="KvBytes">Bytes of keys and values that it reads, of all sequences, half-way through a round.</param>
public sealed record BenchResult(
    BenchOptions Options, string Device, string Path, long StepBytes, long KvBytes, long WeightBytes,
    IReadOnlyList<BenchRound> Rounds);

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
            var prefill = MeasurePrefill(subject.Workload, options.PrefillTokens);
            var (decode, processor) = MeasureDecode(subject.Workload, options);
            var products = MatrixProbe.TeraflopsPerSecond(subject.Device, options.Type);
            rounds.Add(new BenchRound(decode, processor, prefill, read, products));
            log($"round {round + 1}: decode {decode:0.00} ms/step, prefill {prefill:0} tokens/s, read {read:0.0} GB/s");
        }

        return new BenchResult(
            options, TorchDevices.Describe(subject.Device, options.Threads), subject.Replica.Drawing.Path,
            options.Shape.WeightsRead * options.Type.Bytes(),
            options.Shape.KvBytes(options.Type) * options.Batch
                * (options.Context + BenchSubject.WarmSteps + (options.DecodeSteps / 2)),
            subject.Replica.Engines.Sum(engine => engine.WeightBytes), rounds);
    }

    private static double MeasurePrefill(BenchWorkload workload, int tokens)
    {
        workload.Prefill(0, tokens);
        var clock = Stopwatch.StartNew();
        workload.Prefill(0, tokens);
        return tokens / clock.Elapsed.TotalSeconds;
    }

    private static (double Milliseconds, double ProcessorMilliseconds) MeasureDecode(
        BenchWorkload workload, BenchOptions options)
    {
        workload.FillContext(options.Context, options.PrefillTokens);
        for (var i = 0; i < BenchSubject.WarmSteps; i++) workload.Decode(options.Context + i);
        var used = Environment.CpuUsage.TotalTime;
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < options.DecodeSteps; i++) workload.Decode(options.Context + BenchSubject.WarmSteps + i);
        var elapsed = clock.Elapsed;
        used = Environment.CpuUsage.TotalTime - used;
        return (elapsed.TotalMilliseconds / options.DecodeSteps, used.TotalMilliseconds / options.DecodeSteps);
    }
}
