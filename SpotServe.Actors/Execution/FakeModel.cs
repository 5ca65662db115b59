using System.Collections.Immutable;

namespace SpotServe.Actors.Execution;

/// <summary>
/// The arithmetic of a model that is all hash: its next token depends on every token before, through every layer and
/// head, and on nothing else. Values are small integers held in floats, so sums are exact in any order: results are
/// equal for every layout, batch and chunking, and a lost page, layer, head or activation changes them.
/// </summary>
internal sealed class FakeModel
{
    /// <summary>Hidden values and cache entries are below this prime.</summary>
    private const int Modulus = 4093;

    /// <summary>A prime base makes the rolling hash notice a change of any one entry, and of their order.</summary>
    private const int RollingBase = 1031;

    /// <summary>Sums over heads stay below 2^24, where floats are exact integers.</summary>
    private const int HeadsMax = (1 << 24) / Modulus;

    private readonly ModelSpec _spec;

    public FakeModel(ModelSpec spec)
    {
        Invariant.Holds(spec.HeadCount <= HeadsMax);
        Invariant.Holds(spec.HeadCount % spec.KvHeadCount == 0);
        _spec = spec;
    }

    /// <summary>A small LLaMA-like shape with the tensors that planning wants to see.</summary>
    public static ModelSpec Spec(
        int layers = 8, int heads = 8, int kvHeads = 4, int hidden = 16, int vocabulary = 256, int contextMax = 1024)
    {
        var headSize = Math.Max(1, hidden / heads);
        return new ModelSpec(
            "fake",
            "fake",
            $"fake-{layers}-{heads}-{kvHeads}-{hidden}-{vocabulary}",
            layers,
            hidden,
            heads,
            kvHeads,
            headSize,
            IntermediateSize: 4 * hidden,
            vocabulary,
            contextMax,
            ElementType.Float32,
            Front: [new TensorSpec("embed", [vocabulary, hidden], TensorSplit.Vocabulary)],
            Layer:
            [
                new TensorSpec("layers.{0}.query", [heads * headSize, hidden], TensorSplit.Output),
                new TensorSpec("layers.{0}.keyvalue", [kvHeads * headSize, hidden], TensorSplit.KvHeads),
                new TensorSpec("layers.{0}.output", [hidden, heads * headSize], TensorSplit.Input),
                new TensorSpec("layers.{0}.norm", [hidden], TensorSplit.Replicated),
            ],
            Back: [new TensorSpec("head", [vocabulary, hidden], TensorSplit.Vocabulary)]);
    }

    /// <summary>The token that follows a prefix, by definition: no pages, ranks, stages or batches.</summary>
    public int NextToken(ReadOnlySpan<int> prefix, SamplingParameters sampling)
    {
        Invariant.Holds(prefix.Length > 0);
        var hidden = new float[prefix.Length][];
        for (var position = 0; position < prefix.Length; position++)
        {
            hidden[position] = new float[_spec.HiddenSize];
            Embed(prefix[position], position, hidden[position]);
        }

        for (var layer = 0; layer < _spec.LayerCount; layer++) RunLayer(layer, hidden);
        var wish = Wish(hidden[^1], prefix.Length, sampling);
        var best = 0;
        for (var token = 1; token < _spec.VocabularySize; token++)
        {
            if (Score(wish, token) > Score(wish, best)) best = token;
        }

        return best;
    }

    /// <summary>The prompt's continuation by <paramref name="count"/> tokens.</summary>
    public ImmutableArray<int> Generate(ReadOnlySpan<int> prompt, int count, SamplingParameters sampling)
    {
        List<int> tokens = [.. prompt];
        for (var i = 0; i < count; i++)
        {
            tokens.Add(NextToken(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(tokens), sampling));
        }

        return [.. tokens.Skip(prompt.Length)];
    }

    internal static void Embed(int token, int position, Span<float> hidden)
    {
        for (var i = 0; i < hidden.Length; i++) hidden[i] = Mix(1, token, position, i) % Modulus;
    }

    /// <summary>What a layer's key/value head stores for a token.</summary>
    internal static float CacheEntry(int layer, int kvHead, ReadOnlySpan<float> hidden)
    {
        var hash = Mix(2, layer, kvHead, 0);
        foreach (var value in hidden) hash = Mix(hash, (int)value, 0, 0);
        return hash % Modulus;
    }

    /// <summary>Reads one more entry of the cache, oldest first.</summary>
    internal static int Attend(int seen, float entry) =>
        (int)((((long)seen * RollingBase) + (int)entry + 1) % Modulus);

    /// <summary>What a head adds to element <paramref name="i"/> of the sum over all heads.</summary>
    internal static float HeadOutput(int layer, int head, int i, int seen) =>
        Mix(Mix(3, layer, 0, 0), head, i, seen) % Modulus;

    /// <summary>The hidden value after a layer: the one before, and the sum over all heads.</summary>
    internal static float AfterLayer(int layer, float before, float sum) =>
        Mix(4, layer, (int)before, (int)sum) % Modulus;

    /// <summary>All that the scores of the token at <paramref name="position"/> depend on.</summary>
    internal static uint Wish(ReadOnlySpan<float> hidden, int position, SamplingParameters sampling)
    {
        var hash = sampling.Temperature == 0 ? 5 : Mix(6, (int)sampling.Seed, (int)(sampling.Seed >> 32), position);
        foreach (var value in hidden) hash = Mix(hash, (int)value, 0, 0);
        return hash;
    }

    /// <summary>How much the model wants a token, below 2^24; ties go to the lowest token.</summary>
    internal static float Score(uint wish, int token) => Mix(wish, token, 0, 0) >> 8;

    /// <summary>A score as a logit, of 0 to 16: exact, so that the best score is the largest logit.</summary>
    internal static float Logit(float score) => score / (1 << 20);

    private void RunLayer(int layer, float[][] hidden)
    {
        var group = _spec.HeadCount / _spec.KvHeadCount;
        var seen = new int[_spec.KvHeadCount];
        foreach (var token in hidden)
        {
            for (var kvHead = 0; kvHead < seen.Length; kvHead++)
            {
                seen[kvHead] = Attend(seen[kvHead], CacheEntry(layer, kvHead, token));
            }

            for (var i = 0; i < token.Length; i++)
            {
                var sum = 0f;
                for (var head = 0; head < _spec.HeadCount; head++)
                {
                    sum += HeadOutput(layer, head, i, seen[head / group]);
                }

                token[i] = AfterLayer(layer, token[i], sum);
            }
        }
    }

    /// <summary>A hash of four numbers (Murmur's finalizer after each).</summary>
    private static uint Mix(uint a, int b, int c, int d) =>
        Finish(Finish(Finish(Finish(a) ^ (uint)b) ^ (uint)c) ^ (uint)d);

    private static uint Finish(uint hash)
    {
        hash += 0x9e3779b9;
        hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
        hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
        return hash ^ (hash >> 16);
    }
}
