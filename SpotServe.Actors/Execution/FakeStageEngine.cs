using System.Runtime.InteropServices;
using SpotServe.Actors.Execution.Memory;

namespace SpotServe.Actors.Execution;

/// <summary>
/// A stage of <see cref="FakeModel"/>, run as a real engine is: in chunks and batches, over KV pages that the plan
/// names, with the rank's share of heads and vocabulary, sums over the ranks, and hidden states between stages.
/// </summary>
internal sealed class FakeStageEngine : IStageEngine
{
    private readonly ModelSpec _model;
    private readonly Action<StepPlan>? _beforeStep;
    private readonly AxisRange _heads;
    private readonly AxisRange _kvHeads;
    private readonly WeightSet? _weights;
    private readonly bool _weightsAreRight;
    private readonly EnginePages _pages;
    private readonly float[] _input;
    private readonly float[] _hidden;
    private readonly float[] _partial;
    private readonly float[] _scores;
    private readonly float[] _allScores;
    private readonly float[] _logits;
    private readonly HostSampler _sampler = new();
    private readonly List<ChunkFault> _faults = [];
    private int _tokens;

    /// <param name="beforeStep">Called at the start of each step; what it throws ends the step.</param>
    public FakeStageEngine(StageAssignment assignment, ModelSpec model, Action<StepPlan>? beforeStep = null)
        : this(assignment, model, FakePool.Store(), weights: null, sharedPages: null, beforeStep)
    {
    }

    /// <param name="weights">Checked: a wrong byte lets every step fail. The engine disposes of them. Null for an
    /// engine of its own, which has none.</param>
    /// <param name="sharedPages">See <see cref="PreparationOrder.SharedPages"/>.</param>
    internal FakeStageEngine(
        StageAssignment assignment, ModelSpec model, PageStore pages, WeightSet? weights, Epoch? sharedPages,
        Action<StepPlan>? beforeStep)
    {
        Invariant.Holds(assignment.Layers.First >= 0 && assignment.Layers.End <= model.LayerCount);
        Invariant.Holds(assignment.Layers.Count > 0);
        Invariant.Holds(model.HeadCount % assignment.RankCount == 0);
        Assignment = assignment;
        _model = model;
        _beforeStep = beforeStep;
        _heads = TensorSlices.QueryHeads(model, assignment.Position.Rank, assignment.RankCount);
        _kvHeads = TensorSlices.KvHeads(model, assignment.Position.Rank, assignment.RankCount);
        _weights = weights;
        _weightsAreRight = weights is null || FakeWeights.AreRight(weights);
        var shape = PageShape.Of(model, assignment);
        _pages = pages.Add(assignment.Epoch, shape, sharedPages, () => new FakePool(shape));

        var hiddenCount = assignment.StepTokensMax * model.HiddenSize;
        _input = new float[assignment.IsFirst ? 0 : hiddenCount];
        _hidden = new float[hiddenCount];
        _partial = new float[hiddenCount];
        // Blocks of equal length on every rank, as the gather wants them; the last may have a filler or two.
        _scores = new float[(model.VocabularySize + assignment.RankCount - 1) / assignment.RankCount];
        _allScores = new float[assignment.Position.Rank == 0 ? _scores.Length * assignment.RankCount : 0];
        _logits = new float[assignment.Position.Rank == 0 ? model.VocabularySize : 0];
    }

    public StageAssignment Assignment { get; }

    public string Path => "fake";

    public int ActivationBytesPerToken => _model.HiddenSize * sizeof(float);

    public Span<byte> Input(int tokens) =>
        MemoryMarshal.AsBytes(_input.AsSpan(0, tokens * _model.HiddenSize));

    public ReadOnlySpan<byte> Output(int tokens) =>
        MemoryMarshal.AsBytes(_hidden.AsSpan(0, tokens * _model.HiddenSize));

    /// <summary>The entries of one page: [local kv head, token in page], row-major.</summary>
    /// <param name="layer">Of the model, within the assignment's layers.</param>
    public Span<float> Page(int layer, int page)
    {
        Invariant.Holds(Assignment.Layers.Contains(layer));
        Invariant.Holds(page >= 0 && page < Assignment.PageCount);
        return ((FakePool)_pages.Pool(layer)).Page(page);
    }

    public void Step(StepPlan plan, ICollective collective, StepDraws draws)
    {
        Invariant.Holds(collective.RankCount == Assignment.RankCount);
        Invariant.Holds(collective.Rank == Assignment.Position.Rank);
        Begin(plan);
        for (var layer = Assignment.Layers.First; layer < Assignment.Layers.End; layer++)
        {
            var partial = Partial(layer, plan);
            collective.AllReduceSum(partial);
            FinishLayer(layer, partial);
        }

        if (!Assignment.IsLast) return;
        DrawAll(plan, Assignment.Position.Rank == 0 ? draws : null, collective, static (engine, with, chunk, row) =>
        {
            engine.ScoreRow(chunk, row);
            with.GatherToFirst(engine._scores, engine._allScores);
        });
    }

    /// <summary>Runs a step on all ranks of a stage at once, on the caller's thread: what <see cref="Step"/> does on
    /// M threads, for simulations.</summary>
    /// <param name="ranks">All of the stage's engines, in rank order.</param>
    /// <param name="draws">As for <see cref="Step"/>.</param>
    public static void StepTogether(ReadOnlySpan<FakeStageEngine> ranks, StepPlan plan, StepDraws draws)
    {
        var first = ranks[0];
        Invariant.Holds(ranks.Length == first.Assignment.RankCount);
        foreach (var rank in ranks) rank.Begin(plan);
        for (var layer = first.Assignment.Layers.First; layer < first.Assignment.Layers.End; layer++)
        {
            var sum = first.Partial(layer, plan);
            foreach (var rank in ranks[1..])
            {
                var partial = rank.Partial(layer, plan);
                for (var i = 0; i < sum.Length; i++) sum[i] += partial[i];
            }

            foreach (var rank in ranks) rank.FinishLayer(layer, sum);
        }

        if (!first.Assignment.IsLast) return;
        first.DrawAll(plan, draws, ranks.ToArray(), static (first, all, chunk, row) =>
        {
            for (var i = 0; i < all.Length; i++)
            {
                all[i].ScoreRow(chunk, row);
                all[i]._scores.CopyTo(first._allScores, i * first._scores.Length);
            }
        });
    }

    public void Dispose()
    {
        _weights?.Dispose();
        _pages.Dispose();
    }

    private void Begin(StepPlan plan)
    {
        Invariant.Holds(plan.TokenCount <= Assignment.StepTokensMax);
        Invariant.Holds(plan.Chunks.Length <= Assignment.SequencesMax);
        Invariant.Holds(_weightsAreRight);
        Invariant.Holds(_weights is null || FakeWeights.AreHeld(_weights));
        _beforeStep?.Invoke(plan);
        if (FakePoison.IsIn(plan, FakePoisonKind.LostDevice)) throw new EngineLostException("a sequence poisoned it");
        _tokens = plan.TokenCount;
        if (Assignment.IsFirst) Embed(plan);
        else _input.AsSpan(0, _tokens * _model.HiddenSize).CopyTo(_hidden);
    }

    /// <summary>What this rank's heads add to the step's hidden states.</summary>
    private Span<float> Partial(int layer, StepPlan plan)
    {
        var partial = _partial.AsSpan(0, _tokens * _model.HiddenSize);
        partial.Clear();
        foreach (ref readonly var chunk in plan.Chunks)
        {
            RunChunk(layer, chunk, plan.Pages.Slice(chunk.PageOffset, chunk.PageCount));
        }

        // Of one rank alone, where the others are about to wait for it.
        var isLastRank = Assignment.Position.Rank == Assignment.RankCount - 1;
        Invariant.Holds(
            !isLastRank || layer != Assignment.Layers.End - 1 || !FakePoison.IsIn(plan, FakePoisonKind.BrokenInvariant),
            "a sequence poisoned it");
        return partial;
    }

    private void FinishLayer(int layer, ReadOnlySpan<float> sum)
    {
        for (var i = 0; i < sum.Length; i++) _hidden[i] = FakeModel.AfterLayer(layer, _hidden[i], sum[i]);
    }

    private void Embed(StepPlan plan)
    {
        foreach (ref readonly var chunk in plan.Chunks)
        {
            for (var i = 0; i < chunk.Count; i++)
            {
                FakeModel.Embed(plan.Tokens[chunk.TokenOffset + i], chunk.Start + i, HiddenOf(chunk.TokenOffset + i));
            }
        }
    }

    private void RunChunk(int layer, in SequenceChunk chunk, ReadOnlySpan<int> pages)
    {
        // All of the chunk's entries first, then all reading, as batched attention does.
        for (var i = 0; i < chunk.Count; i++)
        {
            for (var kvHead = _kvHeads.First; kvHead < _kvHeads.End; kvHead++)
            {
                EntryAt(layer, pages, chunk.Start + i, kvHead) =
                    FakeModel.CacheEntry(layer, (int)kvHead, HiddenOf(chunk.TokenOffset + i));
            }
        }

        var group = _model.HeadCount / _model.KvHeadCount;
        for (var head = (int)_heads.First; head < _heads.End; head++)
        {
            // What a token has seen is what the one before it had, and its own entry.
            var (seen, position) = (0, 0);
            for (var i = 0; i < chunk.Count; i++)
            {
                for (; position <= chunk.Start + i; position++)
                    seen = FakeModel.Attend(seen, EntryAt(layer, pages, position, head / group));

                var sums = _partial.AsSpan((chunk.TokenOffset + i) * _model.HiddenSize, _model.HiddenSize);
                for (var at = 0; at < sums.Length; at++) sums[at] += FakeModel.HeadOutput(layer, head, at, seen);
            }
        }
    }

    /// <summary>Draws and scores what the plan asks for.</summary>
    /// <param name="draws">Null on ranks that only take part.</param>
    /// <param name="with">Given to <paramref name="gather"/>, which so captures nothing: a step allocates
    /// nothing.</param>
    /// <param name="gather">Brings all ranks' scores of a chunk's row together.</param>
    private void DrawAll<T>(
        StepPlan plan, StepDraws? draws, T with, Action<FakeStageEngine, T, SequenceChunk, int> gather)
    {
        _faults.Clear();
        var (drawn, scored) = (0, 0);
        for (var index = 0; index < plan.Chunks.Length; index++)
        {
            var chunk = plan.Chunks[index];
            for (var row = 0; row < chunk.ScoredRows; row++)
            {
                gather(this, with, chunk, row);
                if (draws is null) continue;
                GatherLogits();
                draws.SetScore(scored, HostSampler.Score(_logits, plan.ScoredRows[scored]));
                scored++;
            }

            if (chunk.Samples == 0) continue;
            gather(this, with, chunk, chunk.Count - 1);
            if (draws is not null) Draw(plan, index, drawn++, draws);
        }

        if (draws is not null) ThrowFor(_faults);
    }

    private void ScoreRow(in SequenceChunk chunk, int row)
    {
        var vocabulary = TensorSlices.Even(_model.VocabularySize, Assignment.Position.Rank, Assignment.RankCount);
        var wish = FakeModel.Wish(HiddenOf(chunk.TokenOffset + row), chunk.Start + row + 1, chunk.Sampling);
        _scores.AsSpan().Fill(-1);
        for (var token = (int)vocabulary.First; token < vocabulary.End; token++)
        {
            _scores[token - vocabulary.First] = FakeModel.Score(wish, token);
        }
    }

    /// <summary>The token that the model wants most, after what the chunk's shape makes of its scores. Chance is in the
    /// scores.</summary>
    private void Draw(StepPlan plan, int index, int sample, StepDraws draws)
    {
        ref readonly var chunk = ref plan.Chunks[index];
        GatherLogits();
        var best = _sampler.Draw(
            _logits, SamplingParameters.Greedy, plan.ShapeOf(chunk), chunk.Start + chunk.Count, out var logprobs);
        draws.Set(sample, FakePoison.Drawn(chunk, index, best, _model.VocabularySize, _faults), logprobs);
    }

    private static void ThrowFor(List<ChunkFault> faults)
    {
        if (faults.Count > 0) throw new StepFailedException(new StepFailure(faults[0].Reason, [.. faults]));
    }

    private void GatherLogits()
    {
        for (var rank = 0; rank < Assignment.RankCount; rank++)
        {
            var range = TensorSlices.Even(_model.VocabularySize, rank, Assignment.RankCount);
            for (var i = 0; i < range.Count; i++)
                _logits[(int)range.First + i] = FakeModel.Logit(_allScores[(rank * _scores.Length) + i]);
        }
    }

    private Span<float> HiddenOf(int token) => _hidden.AsSpan(token * _model.HiddenSize, _model.HiddenSize);

    private ref float EntryAt(int layer, ReadOnlySpan<int> pages, int position, long kvHead)
    {
        var page = Page(layer, pages[position / KvPage.Tokens]);
        return ref page[(int)((kvHead - _kvHeads.First) * KvPage.Tokens) + (position % KvPage.Tokens)];
    }
}
