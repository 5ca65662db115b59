using System.Diagnostics;
using SpotServe.Node.Engine.Cuda;

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
/// <param name="MedianStepMilliseconds">Of the decode steps; what single long steps do to the mean is not in
/// it.</param>
/// <param name="SlowestStepMilliseconds">The longest of them.</param>
public sealed record BenchRound(
    double DecodeMilliseconds, double ProcessorMilliseconds, double PrefillTokensPerSecond, double ReadGigabytes,
    double? MatrixTeraflops, double MedianStepMilliseconds, double SlowestStepMilliseconds);

/// <summary>All rounds of a measurement.</summary>
/// <param name="Path">What ran the steps.</param>
/// <param name="StepBytes">Bytes of weights that a decode step reads, all ranks and stages together.</param>
/// <param name="KvBytes">Bytes of keys and values that it reads, of all sequences, half-way through a round.</param>
/// <param name="SumMicroseconds">A decode step's sum over the ranks, alone, where each has a GPU and these sum by
/// themselves; else null.</param>
public sealed record BenchResult(
    BenchOptions Options, string Device, string Path, long StepBytes, long KvBytes, long WeightBytes,
    IReadOnlyList<BenchRound> Rounds, double? SumMicroseconds = null)
{
    /// <summary>Milliseconds of a decode step over several GPUs that each read their share at the memory's rate and
    /// then wait for the sums; null where <see cref="SumMicroseconds"/> is.</summary>
    public double? EstimateMilliseconds(BenchRound round) => SumMicroseconds is not { } each ? null
        : ((StepBytes + KvBytes) / Options.Ranks / round.ReadGigabytes / 1e6)
            + (((2 * Options.Shape.Layers) + 1) * each / 1e3);
}

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
            var paused = GC.GetTotalPauseDuration();
            var (steps, processor) = MeasureDecode(subject.Workload, options);
            paused = GC.GetTotalPauseDuration() - paused;
            var products = MatrixProbe.TeraflopsPerSecond(subject.Device, options.Type);
            var decode = steps.Average();
            Array.Sort(steps);
            rounds.Add(new BenchRound(
                decode, processor, prefill, read, products, steps[steps.Length / 2], steps[^1]));
            log($"round {round + 1}: decode {decode:0.00} ms/step (median {steps[steps.Length / 2]:0.00}, slowest "
                + $"{steps[^1]:0.00}, {paused.TotalMilliseconds:0.0} ms of garbage collection in all), prefill "
                + $"{prefill:0} tokens/s, read {read:0.0} GB/s");
        }

        return new BenchResult(
            options, TorchDevices.Describe(subject.Device, options.Threads), subject.Replica.Drawing.Path,
            options.Shape.WeightsRead * options.Type.Bytes(),
            options.Shape.KvBytes(options.Type) * options.Batch
                * (options.Context + BenchSubject.WarmSteps + (options.DecodeSteps / 2)),
            subject.Replica.Engines.Sum(engine => engine.WeightBytes), rounds, SumMicroseconds(subject, options));
    }

    private static double? SumMicroseconds(BenchSubject subject, BenchOptions options)
    {
        var devices = subject.Devices;
        return devices.Count > 1 && devices.Count == options.Ranks
            && PeerAccess.Joins([.. devices.Select(device => device.index)])
                ? SumBench.DecodeMicroseconds(
                    devices, options.Shape.Hidden, Math.Min(options.Batch, DecodeBuffers.TokensMax))
                : null;
    }

    private static double MeasurePrefill(BenchWorkload workload, int tokens)
    {
        workload.Prefill(0, tokens);
        var clock = Stopwatch.StartNew();
        workload.Prefill(0, tokens);
        return tokens / clock.Elapsed.TotalSeconds;
    }

    /// <returns>Milliseconds of each step, in order, and processor time of a step.</returns>
    private static (double[] Steps, double ProcessorMilliseconds) MeasureDecode(
        BenchWorkload workload, BenchOptions options)
    {
        workload.FillContext(options.Context, options.PrefillTokens);
        for (var i = 0; i < BenchSubject.WarmSteps; i++) workload.Decode(options.Context + i);
        var steps = new double[options.DecodeSteps];
        var used = Environment.CpuUsage.TotalTime;
        for (var i = 0; i < steps.Length; i++)
        {
            var began = Stopwatch.GetTimestamp();
            workload.Decode(options.Context + BenchSubject.WarmSteps + i);
            steps[i] = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        }

        used = Environment.CpuUsage.TotalTime - used;
        return (steps, used.TotalMilliseconds / options.DecodeSteps);
    }
}
