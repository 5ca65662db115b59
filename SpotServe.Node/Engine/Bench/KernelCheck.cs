using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>
/// Checks the decode kernels on a GPU: that they compute what libtorch computes, for every shape that they know, and
/// that their bits depend neither on the batch, nor on the layout, nor on where pages lie.
/// </summary>
internal sealed class KernelCheck(Device device, Action<string> report)
{
    /// <summary>What two orders of adding 16-bit products may differ by, as a share of the logits' norm.</summary>
    private const double ErrorMax = 0.03;

    private static readonly BenchShape[] Shapes =
    [
        new("heads of 64", 512, 3, 8, 8, 1408, 1000),
        new("heads of 80 in groups of 4", 640, 3, 8, 2, 1728, 1003),
        new("heads of 96 in groups of 2", 768, 2, 8, 4, 2048, 512),
        new("heads of 128 in groups of 8", 1024, 2, 8, 1, 2816, 2048),
        new("heads of 256", 1024, 2, 4, 2, 2816, 512),
        new("heads of 24", 192, 3, 8, 8, 512, 2048),
        new("a window of 300", 512, 3, 8, 2, 1408, 1000, Window: 300, Family: "mistral"),
        new("biases, groups of 7", 896, 3, 14, 2, 4864, 1024, Family: "qwen2"),
        new("norms of heads", 1024, 3, 16, 8, 3072, 1024, HeadSize: 128, Family: "qwen3"),
        new("few columns", 64, 2, 4, 2, 192, 512),
    ];

    /// <summary>Tokens of a step where prompts run, too.</summary>
    private const int StepTokens = 128;

    private const int HandOvers = 150;

    private static readonly BenchShape Layouts = new("layouts", 2048, 4, 32, 8, 5632, 4000);

    private int _failures;

    /// <returns>The number of checks that failed.</returns>
    public int Run()
    {
        CompareHandOvers();
        CompareRecovery();
        foreach (var shape in Shapes)
        {
            var (batch, steps) = shape.Window is null ? (9, 300) : (20, 700);
            Compare(shape, ElementType.BFloat16, batch, steps);
        }

        Compare(Shapes[1], ElementType.Float16, 32, 40);
        Compare(Shapes[0], ElementType.BFloat16, 1, 2_400);
        Compare(Shapes[3], ElementType.BFloat16, 40, 600);
        Compare(Shapes[8], ElementType.BFloat16, 70, 100);
        Compare(Shapes[1], ElementType.BFloat16, 100, 200);
        Compare(Shapes[7], ElementType.Float16, 200, 300);
        Compare(Shapes[3], ElementType.BFloat16, 300, 400);
        // What "fast" adds: more sequences than a decode pass takes, long contexts, prompts beside generated tokens.
        Compare(Shapes[1], ElementType.BFloat16, 70, 300, Numerics.Fast);
        Compare(Shapes[3], ElementType.BFloat16, 130, 600, Numerics.Fast);
        Compare(Shapes[6], ElementType.BFloat16, 70, 700, Numerics.Fast);
        Compare(Shapes[0], ElementType.BFloat16, 66, 2_200, Numerics.Fast);
        foreach (var shape in Shapes) ComparePrompts(shape, Numerics.Invariant);
        ComparePrompts(Shapes[6], Numerics.Fast);
        ComparePrompts(Layouts, Numerics.Fast);
        ComparePoison();
        CompareDraws();
        CompareLayouts();
        return _failures;
    }

    private void Compare(
        BenchShape shape, ElementType type, int batch, int steps, Numerics numerics = Numerics.Invariant)
    {
        using var engines = Engines(shape, type, numerics);
        var sequences = Enumerable.Range(0, batch).ToArray();
        var traces = new List<DecodeTrace>();
        var path = "";
        foreach (var usePlain in new[] { true, false })
        {
            using var replica = Replica(engines, shape, (1, 1), batch, steps, usePlain);
            traces.Add(DecodeTrace.Run(
                replica, sequences, steps, stagger: 3, shape.Vocabulary, keptFrom: steps - 3, pageSeed: 1));
            path = replica.Drawing.Path;
        }

        var error = traces[0].Kept.Max(pair => Difference(pair.Value, traces[1].Kept[pair.Key]));
        var isRight = error < ErrorMax && path.StartsWith("CUDA kernels", StringComparison.Ordinal);
        Tell(isRight, $"{shape.Name}, {type}, batch {batch}, {steps} tokens: {error:0.0e+0} from libtorch, on {path}");
    }

    /// <summary>The device's sampler and the host's, on the same logits.</summary>
    private void CompareDraws()
    {
        const int Batch = 32, Steps = 100;
        var shape = new BenchShape("draws", 512, 2, 8, 8, 1408, 32_000);
        using var engines = Engines(shape, ElementType.BFloat16);
        var sequences = Enumerable.Range(0, Batch).ToArray();
        var drawn = new List<List<int>>();
        foreach (var observes in new[] { true, false })
        {
            using var replica = Replica(engines, shape, (1, 1), Batch, Steps, usePlain: false);
            drawn.Add(DecodeTrace.Run(
                replica, sequences, Steps, stagger: 0, shape.Vocabulary, Steps, pageSeed: 1, Sampling, observes).Drawn);
        }

        var others = drawn[0].Zip(drawn[1], (host, gpu) => host == gpu ? 0 : 1).Sum();
        Tell(others == 0, $"{others} of {drawn[0].Count} tokens drawn on the GPU differ from those drawn on the host");

        static SamplingParameters Sampling(int sequence) => new(
            sequence % 5 * 0.3f, sequence % 3 == 0 ? 1 : 0.5f + (sequence % 4 * 0.12f),
            sequence % 2 == 0 ? 0 : sequence * 3, (ulong)sequence * 0x9E37_79B9_7F4A_7C15);
    }

    /// <summary>A prompt in chunks beside generated tokens.</summary>
    private void ComparePrompts(BenchShape shape, Numerics numerics)
    {
        var (prompt, company) = (shape.Window is null ? 250 : 700, 7);
        var end = prompt + 20;
        using var engines = Engines(shape, ElementType.BFloat16, numerics);
        var rows = new List<List<float[]>>();
        foreach (var usePlain in new[] { true, false })
        {
            using var replica = Replica(engines, shape, (1, 1), company + 1, end, usePlain, StepTokens);
            rows.Add(RecoveryTrace.Run(replica, prompt, prompt, end, company, shape.Vocabulary));
        }

        var error = rows[0].Zip(rows[1], Difference).Max();
        Tell(
            error < ErrorMax,
            $"{shape.Name}, a prompt of {prompt} beside {company} others, {NumericsNames.Of(numerics)}: "
            + $"{error:0.0e+0} from libtorch");
    }

    /// <summary>A sequence whose logits are no numbers ends, and nothing else, whoever draws.</summary>
    private void ComparePoison()
    {
        foreach (var (numerics, batch) in new[] { (Numerics.Invariant, 5), (Numerics.Fast, 70) })
        {
            var faults = PoisonTrace.Run(device, Layouts, numerics, batch);
            Tell(
                faults is [PoisonTrace.Culprit],
                $"no numbers in sequence {PoisonTrace.Culprit} of {batch}, {NumericsNames.Of(numerics)}: "
                + $"the step names [{string.Join(", ", faults)}]");
        }
    }

    private void CompareLayouts()
    {
        const int Steps = 300, Batch = 64;
        using var engines = Engines(Layouts, ElementType.BFloat16);
        var all = Enumerable.Range(0, Batch).ToArray();
        var whole = Trace((1, 1), all, stagger: 2, pageSeed: 1);
        foreach (var batch in new[] { 5, 12, 32 })
        {
            var part = Trace((1, 1), all[..batch], stagger: 2, pageSeed: 4);
            TellBits($"batch {batch}, P=1 M=1", part.CountUnequal(whole), part.Hashes.Count);
        }

        // What a pass of more columns than the small products know gives the same sequences.
        foreach (var (batch, stages) in new[] { (100, 1), (200, 1), (200, 2), (300, 1) })
        {
            var more = Trace((stages, 1), [.. Enumerable.Range(0, batch)], stagger: 0, pageSeed: 6);
            var unequal = whole.Hashes.Count(pair => more.Hashes[pair.Key] != pair.Value);
            TellBits($"batch {batch}, P={stages} M=1", unequal, whole.Hashes.Count);
        }

        foreach (var (stages, ranks) in new[] { (1, 1), (2, 1), (4, 1), (1, 2), (1, 4), (1, 8), (2, 2) })
        {
            var together = Trace((stages, ranks), all, stagger: 2, pageSeed: 2);
            TellBits($"batch {Batch}, P={stages} M={ranks}", together.CountUnequal(whole), together.Hashes.Count);
            var alone = Trace((stages, ranks), [3], stagger: 0, pageSeed: 3);
            // Alone it gets further than staggered among others.
            var shared = alone.Hashes.Where(pair => whole.Hashes.ContainsKey(pair.Key)).ToArray();
            var unequal = shared.Count(pair => whole.Hashes[pair.Key] != pair.Value);
            TellBits($"batch 1, P={stages} M={ranks}", unequal, shared.Length);
        }

        DecodeTrace Trace((int, int) layout, int[] sequences, int stagger, int pageSeed)
        {
            using var replica = Replica(engines, Layouts, layout, sequences.Length, Steps, usePlain: false);
            return DecodeTrace.Run(replica, sequences, Steps, stagger, Layouts.Vocabulary, Steps, pageSeed);
        }
    }

    /// <summary>A sequence that goes on elsewhere from its tokens, in other company and another layout: its prompt is
    /// computed again there.</summary>
    private void CompareRecovery()
    {
        CompareRecovery(Layouts, prompt: 200, chunk: 96, later: 96);
        CompareRecovery(Layouts, prompt: 1_300, chunk: 512, later: 96);
        CompareRecovery(Layouts, prompt: 1_300, chunk: 384, later: 1_300);
        CompareRecovery(Shapes[1], prompt: 300, chunk: 250, later: 130);
        CompareRecovery(Shapes[6], prompt: 900, chunk: 512, later: 300);
    }

    /// <param name="later">The longest chunk where the prompt is computed again.</param>
    private void CompareRecovery(BenchShape shape, int prompt, int chunk, int later)
    {
        const int Company = 5;
        var (from, end) = (prompt + 130, prompt + 200);
        using var engines = Engines(shape, ElementType.BFloat16);
        var undisturbed = Trace((1, 1), prompt, company: 0, chunk)[(from - prompt)..];
        foreach (var (stages, ranks) in new[] { (1, 1), (2, 1), (1, 2), (1, 4), (2, 2) })
        {
            if (shape.KvHeads < ranks) continue;
            var recovered = Trace((stages, ranks), from, Company, later);
            var unequal = recovered.Zip(undisturbed, (a, b) => a == b ? 0 : 1).Sum();
            TellBits(
                $"after a kill, prompt of {prompt} by {chunk} then {later}, beside {Company} others, P={stages} "
                + $"M={ranks}", unequal, recovered.Count);
        }

        List<ulong> Trace((int, int) layout, int start, int company, int chunkTokens)
        {
            using var replica = Replica(
                engines, shape, layout, company + 1, end, usePlain: false, chunkTokens + Company + StepTokens);
            var rows = RecoveryTrace.Run(replica, prompt, start, end, company, shape.Vocabulary, chunkTokens);
            return [.. rows.Select(row => RepeatCheck.Hash(0, row))];
        }
    }

    /// <summary>Replicas that take over while others serve: copiers, libtorch and our kernels share the
    /// memory.</summary>
    private void CompareHandOvers()
    {
        foreach (var type in new[] { ElementType.Float32, ElementType.BFloat16 })
        {
            var result = new HandOverTrace(device, type).Run(HandOvers);
            TellBits($"{result.HandOvers} hand-overs, {type}", result.Unequal, result.Steps);
        }
    }

    private TorchEngines Engines(BenchShape shape, ElementType type, Numerics numerics = Numerics.Invariant) =>
        new(shape.Spec(type), shape.Config(), new MadeWeights(), device, numerics: numerics);

    private static InProcessReplica Replica(
        TorchEngines engines, BenchShape shape, (int Stages, int Ranks) layout, int batch, int steps, bool usePlain,
        int stepTokens = 0) =>
        new(
            assignment => engines.Load(assignment, null, default, usePlain),
            Layout.EvenStages(shape.Layers, 1, layout.Stages), layout.Ranks,
            new ReplicaBounds(batch * KvPage.Count(steps), Math.Max(stepTokens, batch), batch));

    private void TellBits(string what, int unequal, int positions) =>
        Tell(unequal == 0, $"{what}: {(unequal == 0 ? "equal bits" : $"{unequal} others")} in {positions} positions");

    private void Tell(bool isRight, string what)
    {
        if (!isRight) _failures++;
        report($"{(isRight ? "ok  " : "FAIL")} {what}");
    }

    /// <summary>Norm of the difference as a share of the norm; NaN counts as infinitely far.</summary>
    private static double Difference(float[] expected, float[] actual)
    {
        double square = 0, norm = 0;
        for (var i = 0; i < expected.Length; i++)
        {
            square += Math.Pow(expected[i] - actual[i], 2);
            norm += Math.Pow(expected[i], 2);
        }

        var share = Math.Sqrt(square / norm);
        return double.IsNaN(share) ? double.PositiveInfinity : share;
    }
}
