using System.Collections.Immutable;
using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Tests.DataPlane;

/// <summary>Just enough scheduling for tests: sequences in round-robin groups, one step in flight per group.</summary>
internal sealed class TinyScheduler
{
    private readonly List<Sequence> _sequences;
    private readonly Dictionary<long, List<Sequence>> _inFlight = [];
    private readonly SamplingParameters _sampling;
    private readonly int _chunkMax;
    private readonly int _groupCount;
    private int _nextGroup;

    public TinyScheduler(
        IReadOnlyList<ImmutableArray<int>> prompts,
        int count,
        SamplingParameters sampling,
        int chunkMax,
        int groupCount)
    {
        _sampling = sampling;
        _chunkMax = chunkMax;
        _groupCount = groupCount;
        // Pages are dealt out in turn, so that those of a sequence neither adjoin nor begin at 0.
        _sequences = [.. prompts.Select((prompt, index) =>
            new Sequence(index, prompts.Count, [.. prompt], prompt.Length, count))];
    }

    public ImmutableArray<ImmutableArray<int>> Generated =>
        [.. _sequences.Select(sequence => sequence.Tokens.Skip(sequence.PromptLength).ToImmutableArray())];

    public bool TryFill(StepPlan plan, long step)
    {
        for (var turn = 0; turn < _groupCount; turn++)
        {
            var group = _nextGroup;
            _nextGroup = (_nextGroup + 1) % _groupCount;
            var ready = _sequences.Where(s => s.Index % _groupCount == group && !s.Busy && !s.Done).ToList();
            if (ready.Count == 0) continue;
            plan.Clear(step);
            foreach (var sequence in ready) Add(plan, sequence);
            _inFlight.Add(step, ready);
            return true;
        }

        return false;
    }

    public void OnResult(StepResult result)
    {
        Assert(_inFlight.Remove(result.StepId, out var sequences));
        var drawn = 0;
        foreach (var sequence in sequences!)
        {
            sequence.Busy = false;
            if (sequence.Cached == sequence.Tokens.Count) sequence.Tokens.Add(result.Tokens[drawn++]);
        }

        Assert(drawn == result.Tokens.Length);
    }

    private void Add(StepPlan plan, Sequence sequence)
    {
        var count = Math.Min(_chunkMax - (sequence.Index % 3), sequence.Tokens.Count - sequence.Cached);
        var end = sequence.Cached + count;
        var pages = Enumerable.Range(0, KvPage.Count(end)).Select(i => (i * sequence.Stride) + sequence.Index);
        plan.Add(
            sequence.Cached,
            CollectionsMarshal.AsSpan(sequence.Tokens).Slice(sequence.Cached, count),
            [.. pages],
            end == sequence.Tokens.Count,
            _sampling);
        sequence.Cached = end;
        sequence.Busy = true;
    }

    private static void Assert(bool claim) => Xunit.Assert.True(claim);

    private sealed record Sequence(int Index, int Stride, List<int> Tokens, int PromptLength, int Count)
    {
        public int Cached { get; set; }

        public bool Busy { get; set; }

        public bool Done => Tokens.Count == PromptLength + Count;
    }
}
