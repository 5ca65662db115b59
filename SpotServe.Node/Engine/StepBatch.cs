using SpotServe.Actors;
using SpotServe.Actors.Execution;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>Rows of a step that attention handles together: a run of single tokens, or one sequence's chunk.</summary>
/// <param name="FirstRow">First row of the step's token matrix.</param>
/// <param name="Rows">Rows of the group.</param>
/// <param name="Sequences">Sequences: Rows for single tokens, 1 for a chunk.</param>
/// <param name="PagesOffset">Where the padded page table [Sequences, PagesEach] begins in the arena.</param>
/// <param name="Length">Cached tokens that attention sees, the same for all rows; a mask hides the rest.</param>
internal readonly record struct AttentionGroup(
    int FirstRow, int Rows, int Sequences, int PagesOffset, int PagesEach, int Length)
{
    public bool IsDecode => Sequences == Rows;
}

/// <summary>
/// A step plan as tensors of fixed capacity: tokens, positions, cache slots and page tables lie in one array of
/// integers, which goes to the device in one copy.
/// </summary>
internal sealed unsafe class StepBatch : IDisposable
{
    private readonly Tensor _host;
    private readonly Tensor _device;
    private readonly Tensor _counting;
    private readonly long* _data;
    private readonly int _capacity;
    private readonly List<AttentionGroup> _groups = [];
    private readonly Dictionary<(int Group, int Window), Tensor> _masks = [];
    private int _used;
    private int _positionsAt;
    private int _pagesAt;
    private int _offsetsAt;

    public StepBatch(StageAssignment assignment, ModelSpec model, Device device)
    {
        // Padded page tables are at most [SequencesMax, pages of the longest context].
        _capacity = checked((assignment.StepTokensMax * 6) + assignment.SequencesMax
            + (assignment.SequencesMax * KvPage.Count(model.ContextMax)));
        var host = zeros([_capacity], ScalarType.Int64);
        var onCpu = device.type == DeviceType.CPU;
        _host = (onCpu ? host : host.pin_memory()).DetachFromDisposeScope();
        _device = onCpu ? _host : zeros([_capacity], ScalarType.Int64, device).DetachFromDisposeScope();
        _counting = TensorArithmetic.Counting(model.ContextMax + KvPage.Tokens, device).DetachFromDisposeScope();
        _data = (long*)TensorMemory.Pointer(_host);
        Device = device;
    }

    public Device Device { get; }

    public int TokenCount { get; private set; }

    public int SampleCount { get; private set; }

    public IReadOnlyList<AttentionGroup> Groups => _groups;

    /// <summary>Token ids, [tokens]. This and the next live until the step's scope ends.</summary>
    public Tensor Tokens { get; private set; } = null!;

    /// <summary>Position of each token in its sequence, [tokens].</summary>
    public Tensor Positions { get; private set; } = null!;

    /// <summary>Page that each token's keys and values go to, [tokens].</summary>
    public Tensor SlotPages { get; private set; } = null!;

    /// <summary>Place in that page, [tokens].</summary>
    public Tensor SlotOffsets { get; private set; } = null!;

    /// <summary>Pages whose first slot this step writes, [pages]: whatever a sequence before left in them is to go, as
    /// masked attention still multiplies it, and one that is no number would spread.</summary>
    public Tensor FreshPages { get; private set; } = null!;

    /// <summary>Rows whose next token is drawn, [samples].</summary>
    public Tensor SampleRows { get; private set; } = null!;

    /// <summary>Rows that score a token of a prompt, [scored].</summary>
    public Tensor ScoredRows { get; private set; } = null!;

    /// <summary>Fills the tensors from a plan within its bounds. Call inside the step's dispose scope.</summary>
    public void Prepare(StepPlan plan)
    {
        TokenCount = plan.TokenCount;
        SampleCount = plan.SampleCount;
        _masks.Clear();
        _groups.Clear();
        _used = 0;
        int tokens = Reserve(TokenCount), positions = _positionsAt = Reserve(TokenCount),
            pages = _pagesAt = Reserve(TokenCount), offsets = _offsetsAt = Reserve(TokenCount),
            samples = Reserve(SampleCount), fresh = Reserve(FreshPageCount(plan)),
            scored = Reserve(plan.ScoredRows.Length);
        for (var i = 0; i < plan.ScoredRows.Length; i++) _data[scored + i] = plan.ScoredRows[i].Row;

        var (sample, freshCount) = (0, 0);
        foreach (ref readonly var chunk in plan.Chunks)
        {
            for (var i = 0; i < chunk.Count; i++)
            {
                var position = chunk.Start + i;
                var row = chunk.TokenOffset + i;
                _data[tokens + row] = plan.Tokens[row];
                _data[positions + row] = position;
                _data[pages + row] = plan.Pages[chunk.PageOffset + (position / KvPage.Tokens)];
                _data[offsets + row] = position % KvPage.Tokens;
                if (position % KvPage.Tokens == 0) _data[fresh + freshCount++] = _data[pages + row];
            }

            if (chunk.Samples != 0) _data[samples + sample++] = chunk.TokenOffset + chunk.Count - 1;
        }

        AddGroups(plan);
        Upload();
        Tokens = View(tokens, TokenCount);
        Positions = View(positions, TokenCount);
        SlotPages = View(pages, TokenCount);
        SlotOffsets = View(offsets, TokenCount);
        SampleRows = View(samples, SampleCount);
        FreshPages = View(fresh, freshCount);
        ScoredRows = View(scored, plan.ScoredRows.Length);
    }

    /// <summary>Position of a row's token, read on the host.</summary>
    public long PositionOf(int row) => _data[_positionsAt + row];

    /// <summary>Page of a row's token and its place there, read on the host.</summary>
    public (long Page, long Offset) SlotOf(int row) => (_data[_pagesAt + row], _data[_offsetsAt + row]);

    /// <summary>Pages of one sequence of a group, read on the host.</summary>
    public ReadOnlySpan<long> PagesOf(AttentionGroup group, int sequence) =>
        new(_data + group.PagesOffset + (sequence * group.PagesEach), group.PagesEach);

    /// <summary>Page table of a group, [sequences, pages each]; short tables are padded with a page that they
    /// have.</summary>
    public Tensor PageTable(AttentionGroup group) =>
        View(group.PagesOffset, group.Sequences * group.PagesEach).view(group.Sequences, group.PagesEach);

    /// <summary>What a group's rows must not see, as numbers to add to the scores: 0 or minus infinity, [rows, length].
    /// Made once a step and shared by its layers.</summary>
    /// <param name="window">Tokens that a row looks back on, itself included; 0 is all.</param>
    public Tensor Mask(int groupIndex, int window, ScalarType type)
    {
        if (_masks.TryGetValue((groupIndex, window), out var mask)) return mask;
        var group = _groups[groupIndex];
        var at = Positions.narrow(0, group.FirstRow, group.Rows).unsqueeze(1);
        var key = _counting.narrow(0, 0, group.Length).unsqueeze(0);
        var hidden = key.gt(at);
        if (window > 0) hidden = hidden.logical_or(key.le(at.Minus(window)));
        // Made in the first layer's scope, used by all of the step.
        mask = zeros([group.Rows, group.Length], type, Device).FillInPlace(hidden, double.NegativeInfinity)
            .MoveToOuterDisposeScope();
        _masks.Add((groupIndex, window), mask);
        return mask;
    }

    public void Dispose()
    {
        _host.Dispose();
        if (!ReferenceEquals(_host, _device)) _device.Dispose();
        _counting.Dispose();
    }

    private static int FreshPageCount(StepPlan plan)
    {
        var count = 0;
        foreach (ref readonly var chunk in plan.Chunks)
        {
            count += KvPage.Count(chunk.Start + chunk.Count) - KvPage.Count(chunk.Start);
        }

        return count;
    }

    private void AddGroups(StepPlan plan)
    {
        var chunks = plan.Chunks;
        for (var first = 0; first < chunks.Length;)
        {
            var end = first + 1;
            if (chunks[first].Count == 1)
            {
                while (end < chunks.Length && chunks[end].Count == 1) end++;
            }

            AddGroup(plan, chunks[first..end]);
            first = end;
        }
    }

    private void AddGroup(StepPlan plan, ReadOnlySpan<SequenceChunk> chunks)
    {
        var pagesEach = 0;
        foreach (ref readonly var chunk in chunks) pagesEach = Math.Max(pagesEach, chunk.PageCount);
        var table = Reserve(chunks.Length * pagesEach);
        for (var i = 0; i < chunks.Length; i++)
        {
            var pages = plan.Pages.Slice(chunks[i].PageOffset, chunks[i].PageCount);
            for (var j = 0; j < pagesEach; j++)
                _data[table + (i * pagesEach) + j] = pages[Math.Min(j, pages.Length - 1)];
        }

        ref readonly var only = ref chunks[0];
        _groups.Add(only.Count == 1
            ? new AttentionGroup(
                only.TokenOffset, chunks.Length, chunks.Length, table, pagesEach, pagesEach * KvPage.Tokens)
            : new AttentionGroup(only.TokenOffset, only.Count, 1, table, pagesEach, only.Start + only.Count));
    }

    private int Reserve(int count)
    {
        var at = _used;
        _used += count;
        Invariant.Holds(_used <= _capacity);
        return at;
    }

    private void Upload()
    {
        if (ReferenceEquals(_host, _device)) return;
        using var from = _host.narrow(0, 0, _used);
        using var to = _device.narrow(0, 0, _used);
        to.copy_(from);
    }

    private Tensor View(int offset, int count) => _device.narrow(0, offset, count);
}
