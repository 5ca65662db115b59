using SpotServe.Actors;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.Execution;

public sealed class FakeStageEngineTests
{
    private static readonly ModelSpec Spec = FakeModel.Spec(layers: 3);
    private static readonly int[] Prompt = [.. Enumerable.Range(3, 40)];
    private static readonly int[] Pages = [7, 2, 5];

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(16)]
    [InlineData(40)]
    public void Engine_draws_the_models_own_token_when_the_prompt_comes_in_chunks(int chunkMax)
    {
        using var engine = Engine(new LayerRange(0, 3));

        Assert.Equal(Expected(), Prefill(engine, chunkMax, Pages));
    }

    [Fact]
    public void Token_changes_when_the_last_chunk_names_other_pages()
    {
        using var engine = Engine(new LayerRange(0, 3));

        Prefill(engine, 40, Pages, end: 39);

        Assert.NotEqual(Expected(), Run(engine, 39, 40, [7, 3, 5]));
    }

    [Fact]
    public void Token_changes_when_one_cache_entry_is_lost()
    {
        using var engine = Engine(new LayerRange(0, 3));

        Prefill(engine, 40, Pages, end: 39);
        engine.Page(1, Pages[0])[9] += 1;

        Assert.NotEqual(Expected(), Run(engine, 39, 40, Pages));
    }

    [Fact]
    public void Token_changes_when_two_entries_change_places()
    {
        using var engine = Engine(new LayerRange(0, 3));

        Prefill(engine, 40, Pages, end: 39);
        var page = engine.Page(2, Pages[1]);
        (page[0], page[4]) = (page[4], page[0]);

        Assert.NotEqual(Expected(), Run(engine, 39, 40, Pages));
    }

    [Fact]
    public void Token_changes_when_a_layer_is_left_out()
    {
        using var engine = Engine(new LayerRange(0, 2), last: true);

        Assert.NotEqual(Expected(), Prefill(engine, 40, Pages));
    }

    [Fact]
    public void Token_changes_when_a_ranks_heads_are_missing_from_the_sum()
    {
        using var engine = new FakeStageEngine(
            new StageAssignment(new Epoch(1), new Position(0, 0, 0), new LayerRange(0, 3), 1, 2, 8, 64, 4), Spec);
        using var silent = new SilentPeers();

        Assert.NotEqual(Expected(), Prefill(engine, 40, Pages, collective: silent));
    }

    [Fact]
    public async Task Runtime_refuses_an_assignment_when_its_pages_exceed_the_memory()
    {
        using var runtime = new FakeDeviceRuntime(Spec, memoryBytes: 10_000);
        var assignment = new StageAssignment(new Epoch(1), new Position(0, 0, 0), new LayerRange(0, 3), 1, 1, 80, 8, 4);

        var error = await Assert.ThrowsAsync<InvariantException>(() => runtime.PrepareAsync(
            PreparationOrder.FromFolder(assignment), NoPeers.Instance, new Progress<LoadProgress>(),
            TestContext.Current.CancellationToken));

        Assert.Contains("10000", error.Message, StringComparison.Ordinal);
    }

    private static int Expected() => new FakeModel(Spec).NextToken(Prompt, SamplingParameters.Greedy);

    private static FakeStageEngine Engine(LayerRange layers, bool last = true) => new(
        new StageAssignment(new Epoch(1), new Position(0, 0, 0), layers, last ? 1 : 2, 1, 8, 64, 4), Spec);

    private static int Prefill(
        FakeStageEngine engine, int chunkMax, int[] pages, int end = 40, ICollective? collective = null)
    {
        var token = -1;
        for (var start = 0; start < end; start += chunkMax)
        {
            token = Run(engine, start, Math.Min(end, start + chunkMax), pages, collective);
        }

        return token;
    }

    private static int Run(
        FakeStageEngine engine, int start, int end, int[] pages, ICollective? collective = null)
    {
        using var single = new SingleRankCollective();
        var plan = new StepPlan();
        plan.Clear(1);
        plan.Add(
            start,
            Prompt.AsSpan(start, end - start),
            pages.AsSpan(0, KvPage.Count(end)),
            samples: true,
            SamplingParameters.Greedy);
        var draws = new StepDraws();
        draws.Begin(plan);
        engine.Step(plan, collective ?? single, draws);
        return draws.Tokens[0];
    }

    /// <summary>A second rank that adds nothing to any sum.</summary>
    private sealed class SilentPeers : ICollective
    {
        public int Rank => 0;

        public int RankCount => 2;

        public void BeginStep(long step)
        {
        }

        public void Abandon(StepFailure failure)
        {
        }

        public IReadOnlyList<IRankDevice>? Introduce(IRankDevice mine) => null;

        public void ThrowIfOver()
        {
        }

        public void AllReduceSum(Span<float> values)
        {
        }

        public void GatherToFirst(ReadOnlySpan<float> mine, Span<float> all) => mine.CopyTo(all);

        public void Dispose()
        {
        }
    }
}
