using System.Collections.Immutable;
using SpotServe.Actors.Execution;
using SpotServe.Node.Engine;
using SpotServe.Node.Engine.Bench;

namespace SpotServe.Tests.Engine;

/// <summary>A sequence being generated: its tokens, and the pages that hold what was run through the model.</summary>
internal sealed class TestSequence(IEnumerable<int> prompt, SamplingParameters sampling, IEnumerable<int> pages)
{
    private readonly int[] _pages = [.. pages];
    private readonly int _promptCount = prompt.Count();

    public List<int> Tokens { get; } = [.. prompt];

    /// <summary>Makes the next draw's shape of the tokens so far; null for none.</summary>
    public Func<IReadOnlyList<int>, int[]>? Shape { get; init; }

    public List<TokenLogprobs> Logprobs { get; } = [];

    /// <summary>Alternatives that are wanted with each token of the prompt; null where it is not scored.</summary>
    public int? Scores { get; init; }

    public List<TokenLogprobs> PromptLogprobs { get; } = [];

    /// <summary>Tokens whose keys and values are in the pages.</summary>
    public int Cached { get; private set; }

    /// <summary>Adds the next tokens of the sequence to a plan.</summary>
    /// <returns>True when the chunk draws a token.</returns>
    public bool AddTo(StepPlan plan, int tokensMax)
    {
        var count = Math.Min(tokensMax, Tokens.Count - Cached);
        var end = Cached + count;
        var samples = end == Tokens.Count;
        plan.Add(
            Cached, Tokens.GetRange(Cached, count).ToArray(), _pages.AsSpan(0, KvPage.Count(end)), samples, sampling,
            replays: false, samples && Shape is not null ? Shape(Tokens) : [],
            Tokens.Count == _promptCount ? Scores + 1 ?? 0 : 0, samples ? 0 : Tokens[end]);
        Cached = end;
        return samples;
    }
}

/// <summary>Runs a model folder on a layout in one process, on the CPU with one thread for each rank, or on the device
/// that the environment variable SPOTSERVE_TEST_DEVICE names.</summary>
internal sealed class ReplicaHarness : IDisposable
{
    public const int PageCount = 160;
    public const int StepTokensMax = 256;
    public const int SequencesMax = 16;

    private readonly TorchDeviceRuntime _runtime;
    private readonly InProcessReplica _replica;
    private readonly StepPlan _plan = new();
    private long _step;

    /// <param name="type">Null is float32, whatever the device's own choice for the folder is: tolerances and golden
    /// values are of that.</param>
    public ReplicaHarness(
        string folder, int stages, int ranks, ElementType? type = null, ImmutableArray<LayerRange> layers = default,
        bool usePlainOperations = false, ReplicaBounds? bounds = null)
    {
        _runtime = new TorchDeviceRuntime(new TorchRuntimeOptions
        {
            ModelFolder = folder,
            Threads = 1,
            WeightType = type ?? ElementType.Float32,
            Device = Environment.GetEnvironmentVariable("SPOTSERVE_TEST_DEVICE") ?? "cpu",
        });
        var ranges = layers.IsDefault ? Layout.EvenStages(_runtime.Model.LayerCount, 1, stages) : layers;
        _replica = new InProcessReplica(
            assignment => _runtime.Load(assignment, null, CancellationToken.None, usePlainOperations),
            ranges, ranks, bounds ?? new ReplicaBounds(PageCount, StepTokensMax, SequencesMax));
        _replica.Drawing.LogitsObserved = (_, logits) => Logits.Add(logits.ToArray());
    }

    /// <summary>Logits of the rows that the last step drew from.</summary>
    public List<float[]> Logits { get; } = [];

    public InProcessReplica Replica => _replica;

    public ModelSpec Model => _runtime.Model;

    /// <summary>One step: the next chunk of each sequence, at most <paramref name="chunkMax"/> tokens each.</summary>
    public void Step(IReadOnlyList<TestSequence> sequences, int chunkMax = StepTokensMax)
    {
        _plan.Clear(++_step);
        var drawing = sequences.Where(sequence => sequence.AddTo(_plan, chunkMax)).ToArray();
        Logits.Clear();
        var tokens = _replica.Step(_plan);
        if (sequences.Count == 1)
            sequences[0].PromptLogprobs.AddRange(_replica.Draws.ToResult(_step).Scores);
        for (var i = 0; i < drawing.Length; i++)
        {
            drawing[i].Tokens.Add(tokens[i]);
            if (_replica.Draws.Logprobs[i] is { } logprobs) drawing[i].Logprobs.Add(logprobs);
        }
    }

    /// <summary>Generates <paramref name="count"/> tokens for each prompt, all in one batch.</summary>
    public int[][] Generate(IReadOnlyList<int[]> prompts, int count, int chunkMax = StepTokensMax,
        Func<int, SamplingParameters>? sampling = null)
    {
        var pagesEach = PageCount / prompts.Count;
        var sequences = prompts.Select((prompt, i) => new TestSequence(
            prompt, sampling?.Invoke(i) ?? SamplingParameters.Greedy,
            // Neither in order nor adjacent, as a page allocator hands them out.
            Enumerable.Range(0, pagesEach).Select(page => ((pagesEach - 1 - page) * prompts.Count) + i))).ToArray();
        while (true)
        {
            var running = sequences.Where((s, i) => s.Tokens.Count < prompts[i].Length + count).ToArray();
            if (running.Length == 0) break;
            Step(running, chunkMax);
        }

        return [.. sequences.Select((s, i) => s.Tokens.Skip(prompts[i].Length).ToArray())];
    }

    public void Dispose()
    {
        _replica.Dispose();
        _runtime.Dispose();
    }
}
