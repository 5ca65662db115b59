using System.Diagnostics;
using SpotServe.Actors.Execution;
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
    private const int PrefillTokens = 512;
    private const int WarmSteps = 3;

    /// <summary>Measures; takes the model's memory and, for the read probe, half a gigabyte.</summary>
    /// <exception cref="ArgumentException">The layout does not fit the shape, or the context is too long.</exception>
    public static BenchResult Run(BenchOptions options, Action<string> log)
    {
        var shape = options.Shape;
        var spec = shape.Spec(options.Type);
        var lengthMax = options.Context + options.DecodeSteps + WarmSteps + 1;
        Check(options, spec, lengthMax);

        var threadsEach = Math.Max(1, options.Threads / options.Ranks);
        var device = TorchDevices.Open(options.Device, options.TorchLib, threadsEach);
        log($"{TorchDevices.Describe(device, threadsEach)}: making {shape.Name} weights in {options.Type}");
        var source = new MadeWeights();
        var config = shape.Config();
        var pagesEach = Math.Max(KvPage.Count(lengthMax), KvPage.Count(PrefillTokens));
        var bounds = new ReplicaBounds(
            (pagesEach * options.Batch) + 1, Math.Max(PrefillTokens, options.Batch), options.Batch);
        using var engines = new TorchEngines(spec, config, source, device);
        using var replica = new InProcessReplica(
            assignment => engines.Load(assignment, null, default),
            Layout.EvenStages(spec.LayerCount, 1, options.Stages), options.Ranks, bounds);

        var workload = new BenchWorkload(replica, shape.Vocabulary, options.Batch, pagesEach);
        var rounds = new List<BenchRound>();
        for (var round = 0; round < options.Rounds; round++)
        {
            var read = MemoryProbe.ReadGigabytesPerSecond(device, options.Threads);
            var prefill = MeasurePrefill(workload);
            var decode = MeasureDecode(workload, options);
            rounds.Add(new BenchRound(decode, prefill, read));
            log($"round {round + 1}: decode {decode:0.00} ms/step, prefill {prefill:0} tokens/s, read {read:0.0} GB/s");
        }

        return new BenchResult(
            options, TorchDevices.Describe(device, options.Threads),
            shape.WeightsRead * options.Type.Bytes(), replica.Engines.Sum(engine => engine.WeightBytes), rounds);
    }

    private static double MeasurePrefill(BenchWorkload workload)
    {
        workload.Prefill(0, PrefillTokens);
        var clock = Stopwatch.StartNew();
        workload.Prefill(0, PrefillTokens);
        return PrefillTokens / clock.Elapsed.TotalSeconds;
    }

    private static double MeasureDecode(BenchWorkload workload, BenchOptions options)
    {
        workload.FillContext(options.Context, PrefillTokens);
        for (var i = 0; i < WarmSteps; i++) workload.Decode(options.Context + i);
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < options.DecodeSteps; i++) workload.Decode(options.Context + WarmSteps + i);
        return clock.Elapsed.TotalMilliseconds / options.DecodeSteps;
    }

    private static void Check(BenchOptions options, ModelSpec spec, int lengthMax)
    {
        if (options.Stages > spec.LayerCount || options.Stages < 1)
            throw new ArgumentException($"{options.Stages} stages do not fit {spec.LayerCount} layers.");
        if (options.Ranks < 1 || spec.HeadCount % options.Ranks != 0)
            throw new ArgumentException($"{options.Ranks} ranks do not divide {spec.HeadCount} heads.");
        if (lengthMax > spec.ContextMax)
        {
            throw new ArgumentException(
                $"Context and steps come to {lengthMax} tokens; the shape's limit is {spec.ContextMax}.");
        }
    }
}

/// <summary>Steps of made tokens. What they say does not matter, only their number and where they lie.</summary>
internal sealed class BenchWorkload(InProcessReplica replica, int vocabulary, int batch, int pagesEach)
{
    private readonly StepPlan _plan = new();
    private readonly int[][] _pages = [.. Enumerable.Range(0, batch)
        .Select(sequence => Enumerable.Range(sequence * pagesEach, pagesEach).ToArray())];
    private long _step;

    /// <summary>One chunk of one sequence, from its start.</summary>
    public void Prefill(int sequence, int tokens)
    {
        _plan.Clear(++_step);
        Add(sequence, 0, tokens);
        replica.Step(_plan);
    }

    /// <summary>Fills all sequences' caches up to <paramref name="context"/> tokens.</summary>
    public void FillContext(int context, int chunkMax)
    {
        for (var sequence = 0; sequence < batch; sequence++)
        {
            for (var start = 0; start < context; start += chunkMax)
            {
                _plan.Clear(++_step);
                Add(sequence, start, Math.Min(chunkMax, context - start));
                replica.Step(_plan);
            }
        }
    }

    /// <summary>One token of every sequence, at a position.</summary>
    public void Decode(int position)
    {
        _plan.Clear(++_step);
        for (var sequence = 0; sequence < batch; sequence++) Add(sequence, position, 1);
        replica.Step(_plan);
    }

    private void Add(int sequence, int start, int count)
    {
        var tokens = new int[count];
        for (var i = 0; i < count; i++)
            tokens[i] = (int)((3 + (7919L * (start + i)) + (104_729L * (sequence + 1))) % vocabulary);
        var pages = _pages[sequence].AsSpan(0, KvPage.Count(start + count));
        _plan.Add(start, tokens, pages, samples: true, SamplingParameters.Greedy);
    }
}
