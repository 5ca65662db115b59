using System.Collections.Concurrent;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

/// <summary>
/// Steps that fail for what they compute: the leader hears it, all ranks stay in step, nobody is lost.
/// </summary>
public sealed class FailedStepTests
{
    private static readonly int[] Prompt = [.. Enumerable.Range(0, 31).Select(i => i * 37 % 256)];

    public static TheoryData<int, int, Spread, int> Layouts() => new()
    {
        { 1, 1, Spread.OneNode, 16 },
        { 3, 1, Spread.NodePerDevice, 16 },
        { 1, 2, Spread.NodePerDevice, 16 },
        { 1, 4, Spread.OneNode, 16 },
        { 2, 2, Spread.NodePerStage, 16 },
        { 2, 2, Spread.NodePerDevice, 16 },
        { 2, 4, Spread.TwoPerNode, 16 },
        // Vectors of 64 kB and more go in slices and by pointer.
        { 2, 4, Spread.NodePerDevice, 1024 },
        { 2, 2, Spread.OneNode, 1024 },
    };

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Every_rank_is_in_step_after_steps_that_failed_anywhere(
        int stages, int ranks, Spread spread, int hidden)
    {
        const int Steps = 48;
        var random = new Random((stages * 100) + (ranks * 10) + (int)spread);
        var model = FakeModel.Spec(layers: 5, contextMax: 256, hidden: hidden);
        var failing = new ConcurrentDictionary<long, Position>();
        await using var replica = await FakeReplica.StartAsync(stages, ranks, spread, assignment =>
            new FakeStageEngine(assignment, model, plan =>
            {
                if (failing.TryGetValue(plan.StepId, out var position) && position == assignment.Position)
                    throw new InvalidOperationException($"step {plan.StepId} broke at {position}");
            }));
        var expected = new FakeModel(model).NextToken(Prompt.AsSpan(0, 15), SamplingParameters.Greedy);
        var kinds = new FakePoisonKind[Steps + 1];
        var plan = new StepPlan();
        var taken = 0L;
        for (var step = 1; step <= Steps; step++)
        {
            // Long runs of failures, too: nothing of them may pile up on a link.
            if (step % 16 > 6 && random.Next(3) > 0)
            {
                if (random.Next(2) == 0) failing[step] = new(0, random.Next(stages), random.Next(ranks));
                else kinds[step] = (FakePoisonKind)random.Next(1, 4);
            }

            if (step - taken > stages) Check(++taken);
            Submit(plan, step, kinds[step]);
            replica.Pipeline.Submit(plan);
        }

        while (taken < Steps) Check(++taken);

        Assert.All(replica.Failures.Values, failure => Assert.False(failure.Task.IsCompleted));
        Assert.False(replica.Lost.IsCompleted);

        void Check(long step)
        {
            var result = replica.Take();
            Assert.Equal(step, result.StepId);
            if (failing.ContainsKey(step)) AssertFailed(result, $"step {step} broke", named: false);
            else if (kinds[step] == FakePoisonKind.None) Assert.Equal([expected, expected], result.Tokens);
            else AssertFailed(result, "", named: kinds[step] != FakePoisonKind.BrokenInvariant);
        }
    }

    [Fact]
    public async Task A_token_that_the_model_does_not_have_is_its_sequences_fault()
    {
        await using var replica = await FakeReplica.StartAsync(2, 2, Spread.NodePerDevice);
        var plan = new StepPlan();
        plan.Clear(1);
        plan.Add(0, [1, 2], [0], samples: true, SamplingParameters.Greedy);
        plan.Add(0, [256, 2], [1], samples: true, SamplingParameters.Greedy);
        plan.Add(0, [-1], [2], samples: false, SamplingParameters.Greedy);

        replica.Pipeline.Submit(plan);

        var failure = replica.Take().Failure;
        Assert.NotNull(failure);
        Assert.Equal([1, 2], failure.Faults.Select(fault => fault.Chunk));
        Assert.Contains("token id 256 is outside the model's vocabulary of 256 tokens", failure.Faults[0].Reason);
        Submit(plan, 2, FakePoisonKind.None);
        replica.Pipeline.Submit(plan);
        Assert.Equal(2, replica.Take().Tokens.Length);
    }

    [Fact]
    public async Task A_lost_device_is_a_loss_as_before()
    {
        await using var replica = await FakeReplica.StartAsync(1, 2, Spread.NodePerDevice);
        var plan = new StepPlan();
        Submit(plan, 1, FakePoisonKind.LostDevice);

        replica.Pipeline.Submit(plan);

        Assert.IsType<PeerLostException>(
            await replica.Lost.WaitAsync(FakeReplica.Patience, TestContext.Current.CancellationToken));
    }

    [Fact]
    public void A_failure_is_equal_when_it_was_encoded_and_decoded_and_long_texts_are_cut()
    {
        var failure = new StepFailure("why é", [new(0, new string('ü', 1000)), new(3, "")]) { Trace = "at Step()" };

        var decoded = StepFailureCodec.Decode(StepFailureCodec.Encode(failure), chunkCount: 4);

        Assert.Equal(("why é", "at Step()"), (decoded?.Reason, decoded?.Trace));
        Assert.Equal([new(0, new string('ü', 200)), new(3, "")], decoded!.Faults);
        Assert.Null(StepFailureCodec.Decode(StepFailureCodec.Encode(failure), chunkCount: 3));
    }

    [Fact]
    public void Bytes_that_are_no_failure_are_refused() => CsCheck.Check.Sample(
        CsCheck.Gen.Byte.Array[0, 60],
        bytes => Assert.InRange(StepFailureCodec.Decode(bytes, 4)?.Faults.Length ?? 0, 0, 4));

    private static void AssertFailed(StepResult result, string reason, bool named)
    {
        Assert.NotNull(result.Failure);
        Assert.Empty(result.Tokens);
        Assert.Contains(reason, result.Failure.Reason, StringComparison.Ordinal);
        Assert.Equal(named ? [1] : [], result.Failure.Faults.Select(fault => fault.Chunk));
    }

    /// <summary>Two sequences, the second one poisoned at its last token.</summary>
    private static void Submit(StepPlan plan, long step, FakePoisonKind kind)
    {
        plan.Clear(step);
        var half = Prompt.AsSpan(0, 15);
        var poisoned = SamplingParameters.Greedy with { Seed = FakePoison.Seed(kind, 14) };
        plan.Add(0, half, [(int)(step % 60)], samples: true, SamplingParameters.Greedy);
        plan.Add(0, half, [(int)((step + 1) % 60)], samples: true, poisoned);
    }
}
