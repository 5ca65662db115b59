using System.Runtime.InteropServices;

namespace SpotServe.Actors.Execution;

/// <summary>One sequence's part of a step: some consecutive tokens to run through the model. Blittable.</summary>
/// <param name="Start">Position in the sequence of the first token; the cache already holds all before it.</param>
/// <param name="Count">Tokens of this chunk: 1 in decode, up to the chunk limit in prefill.</param>
/// <param name="TokenOffset">Where its tokens begin in <see cref="StepPlan.Tokens"/>.</param>
/// <param name="PageOffset">Where its page table begins in <see cref="StepPlan.Pages"/>.</param>
/// <param name="PageCount">Pages that cover positions [0, Start + Count).</param>
/// <param name="Samples">1 when a token is drawn after the chunk's last token, else 0.</param>
/// <param name="Replays">1 when all its tokens were generated, and lost from the cache since, else 0. An engine whose
/// bits differ between prefill and decode computes them as it decodes, so that the cache gets the bits that it
/// had.</param>
/// <param name="ShapeOffset">Where its <see cref="DrawShape"/> begins in <see cref="StepPlan.Shapes"/>.</param>
/// <param name="ShapeLength">Numbers of its shape; 0 where the token is drawn from the logits as they are.</param>
/// <param name="Scores">1 + the alternatives wanted, where log-probabilities of the prompt's tokens are: of each token
/// that follows one of the chunk's in the prompt; else 0.</param>
/// <param name="Follower">The prompt's token after the chunk's last, where the chunk scores and the prompt goes
/// on.</param>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public readonly record struct SequenceChunk(
    int Start,
    int Count,
    int TokenOffset,
    int PageOffset,
    int PageCount,
    int Samples,
    SamplingParameters Sampling,
    int Replays = 0,
    int ShapeOffset = 0,
    int ShapeLength = 0,
    int Scores = 0,
    int Follower = 0)
{
    /// <summary>First rows of the chunk whose next token is the prompt's and is scored. What a chunk draws follows its
    /// last row, so that this has nothing to be scored.</summary>
    public int ScoredRows => Scores == 0 ? 0 : Count - Samples;
}

/// <summary>A row of a step whose logits score the prompt's token that follows it.</summary>
/// <param name="Chunk">Index of its chunk.</param>
/// <param name="Row">Row of the step's token matrix.</param>
/// <param name="Target">The token that is scored.</param>
/// <param name="Top">Alternatives that are wanted with it.</param>
public readonly record struct ScoredRow(int Chunk, int Row, int Target, int Top);

/// <summary>
/// One engine iteration of a replica, the same for all of its ranks: sequence chunks with their tokens and full page
/// tables. Stateless on purpose: an engine needs nothing but its weights, its pages and this, which is what lets a
/// step be run elsewhere after a migration. Reused from step to step; one owner at a time.
/// </summary>
public sealed class StepPlan
{
    private readonly List<SequenceChunk> _chunks = [];
    private readonly List<int> _tokens = [];
    private readonly List<int> _pages = [];
    private readonly List<int> _shapes = [];
    private readonly List<ScoredRow> _scored = [];

    /// <summary>Number of the step in its replica and epoch, from 1, without gaps.</summary>
    public long StepId { get; set; }

    public int TokenCount => _tokens.Count;

    /// <summary>Tokens that the step draws: one for each chunk with Samples = 1, in chunk order.</summary>
    public int SampleCount { get; private set; }

    /// <summary>Rows that score tokens of prompts, in the order of chunks and of rows in them.</summary>
    public ReadOnlySpan<ScoredRow> ScoredRows => CollectionsMarshal.AsSpan(_scored);

    public ReadOnlySpan<SequenceChunk> Chunks => CollectionsMarshal.AsSpan(_chunks);

    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    public ReadOnlySpan<int> Pages => CollectionsMarshal.AsSpan(_pages);

    /// <summary>The chunks' shapes, one after another.</summary>
    public ReadOnlySpan<int> Shapes => CollectionsMarshal.AsSpan(_shapes);

    public DrawShape ShapeOf(in SequenceChunk chunk) => new(Shapes.Slice(chunk.ShapeOffset, chunk.ShapeLength));

    /// <summary>Index of the chunk after whose last token the step draws for the <paramref name="sample"/>th
    /// time.</summary>
    public int ChunkOfSample(int sample)
    {
        for (var index = 0; index < _chunks.Count; index++)
        {
            if (_chunks[index].Samples != 0 && sample-- == 0) return index;
        }

        throw new InvariantException("a step samples no more often than its chunks say");
    }

    public void Clear(long stepId)
    {
        StepId = stepId;
        SampleCount = 0;
        _chunks.Clear();
        _tokens.Clear();
        _pages.Clear();
        _shapes.Clear();
        _scored.Clear();
    }

    /// <summary>
    /// Appends a chunk. <paramref name="pages"/> covers the sequence from position 0 to the chunk's end.
    /// </summary>
    /// <param name="shape">As <see cref="DrawShape"/> is written; empty for none.</param>
    /// <param name="scores">See <see cref="SequenceChunk.Scores"/>.</param>
    /// <param name="follower">See <see cref="SequenceChunk.Follower"/>.</param>
    public void Add(
        int start, ReadOnlySpan<int> tokens, ReadOnlySpan<int> pages, bool samples, SamplingParameters sampling,
        bool replays = false, ReadOnlySpan<int> shape = default, int scores = 0, int follower = 0)
    {
        Invariant.Holds(tokens.Length > 0);
        Invariant.Holds(pages.Length == KvPage.Count(start + tokens.Length));
        _chunks.Add(new SequenceChunk(
            start, tokens.Length, _tokens.Count, _pages.Count, pages.Length, samples ? 1 : 0, sampling,
            replays ? 1 : 0, _shapes.Count, shape.Length, scores, follower));
        _tokens.AddRange(tokens);
        _pages.AddRange(pages);
        _shapes.AddRange(shape);
        if (samples) SampleCount++;
        AddScoredRows(_chunks.Count - 1);
    }

    /// <summary>Takes over parts that were checked while decoding, in place of what it held.</summary>
    internal void Load(
        long stepId, ReadOnlySpan<SequenceChunk> chunks, ReadOnlySpan<int> tokens, ReadOnlySpan<int> pages,
        ReadOnlySpan<int> shapes)
    {
        Clear(stepId);
        _chunks.AddRange(chunks);
        _tokens.AddRange(tokens);
        _pages.AddRange(pages);
        _shapes.AddRange(shapes);
        foreach (ref readonly var chunk in chunks) SampleCount += chunk.Samples;
        for (var index = 0; index < _chunks.Count; index++) AddScoredRows(index);
    }

    private void AddScoredRows(int index)
    {
        var chunk = _chunks[index];
        for (var i = 0; i < chunk.ScoredRows; i++)
        {
            var row = chunk.TokenOffset + i;
            var target = i == chunk.Count - 1 ? chunk.Follower : _tokens[row + 1];
            _scored.Add(new ScoredRow(index, row, target, chunk.Scores - 1));
        }
    }
}
