using CsCheck;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class StepPlanCodecTests
{
    private static readonly StepPlanLimits Limits = new(
        StepTokensMax: 64, SequencesMax: 6, PageCount: 100, ContextMax: 200, VocabularySize: 500);

    private static readonly Gen<StepPlan> Plans =
        Gen.Select(Gen.Int[0, 180], Gen.Int[1, 10], Gen.Bool, Gen.ULong, Gen.Int)
            .List[1, 6]
            .Select(chunks =>
            {
                var plan = new StepPlan();
                plan.Clear(chunks.Count);
                foreach (var (start, count, samples, seed, random) in chunks)
                {
                    var numbers = new Random(random);
                    plan.Add(
                        start,
                        [.. Enumerable.Range(0, count).Select(_ => numbers.Next(500))],
                        [.. Enumerable.Range(0, KvPage.Count(start + count)).Select(_ => numbers.Next(100))],
                        samples,
                        new SamplingParameters(0.7f, 0.9f, 40, seed),
                        replays: seed % 2 == 0,
                        samples && seed % 3 == 0 ? Shape(numbers) : [],
                        scores: (int)(seed % 4), follower: numbers.Next(500));
                }

                return plan;
            });

    [Fact]
    public void Plan_is_equal_when_it_was_encoded_and_decoded() => Plans.Sample(plan =>
    {
        var decoded = new StepPlan();

        Assert.Null(StepPlanCodec.Decode(Encode(plan), Limits, decoded));

        Assert.Equal(plan.StepId, decoded.StepId);
        Assert.Equal(plan.SampleCount, decoded.SampleCount);
        Assert.Equal(plan.ScoredRows, decoded.ScoredRows);
        Assert.Equal(plan.Chunks, decoded.Chunks);
        Assert.Equal(plan.Tokens, decoded.Tokens);
        Assert.Equal(plan.Pages, decoded.Pages);
        Assert.Equal(plan.Shapes, decoded.Shapes);
    });

    [Fact]
    public void Decoded_plan_is_within_its_limits_whatever_bytes_were_changed() =>
        Gen.Select(Plans, Gen.Select(Gen.Int, Gen.Byte).List[1, 4], Gen.Int[-3, 3]).Sample((plan, changes, longer) =>
        {
            var bytes = Encode(plan);
            foreach (var (at, value) in changes) bytes[(int)((uint)at % bytes.Length)] = value;
            Array.Resize(ref bytes, Math.Max(0, bytes.Length + (longer == 3 ? 4 : 0)));
            var decoded = new StepPlan();

            if (StepPlanCodec.Decode(bytes, Limits, decoded) is null) AssertWithinLimits(decoded);
            else Assert.Equal(0, decoded.TokenCount);
        });

    [Theory]
    [InlineData(8, 7, "7 chunks; the limit is 6")]
    [InlineData(8, -1, "-1 chunks")]
    [InlineData(12, int.MaxValue, "tokens; the limit is 64")]
    [InlineData(16, int.MaxValue, "pages; the limit is 78")]
    [InlineData(16, 2, "whose counts make")]
    [InlineData(24, 199, "a chunk of 3 tokens from 199")]
    [InlineData(24, -1, "from -1")]
    [InlineData(28, int.MaxValue, "tokens from 0")]
    [InlineData(32, 1, "tokens at 1 where 0")]
    [InlineData(36, -5, "pages at -5")]
    [InlineData(40, 0, "0 pages")]
    [InlineData(44, 2, "samples = 2")]
    [InlineData(48, 0x7fc00000, "Temperature = NaN")]
    [InlineData(52, 0x7f800000, "TopP = ")]
    [InlineData(56, -1, "TopK = -1")]
    [InlineData(68, 2, "replays = 2")]
    [InlineData(20, 1 << 30, "shapes of 1073741824 numbers")]
    [InlineData(72, 1, "a shape of 11 numbers at 1")]
    [InlineData(76, 12, "a shape of 12 numbers at 0 of 11")]
    [InlineData(80, 22, "scores = 22")]
    [InlineData(84, 500, "before token 500")]
    [InlineData(100, 100, "page 100; there are 100")]
    [InlineData(104, 0x7fc00000, "MinP = NaN")]
    [InlineData(116, 0, "Repetition = 0")]
    [InlineData(120, 22, "wants 21 log-probabilities")]
    [InlineData(124, 2, "2 tokens and 1 biases")]
    [InlineData(132, 500, "seen token 500")]
    [InlineData(140, -1, "for token -1")]
    [InlineData(144, 0x7f800000, "bias ")]
    public void Decoding_says_what_is_wrong_when_a_number_is(int at, int number, string violation)
    {
        var plan = new StepPlan();
        plan.Clear(1);
        plan.Add(
            0, [1, 2, 3], [9], samples: true, SamplingParameters.Greedy, replays: false,
            Written(new LogitPenalties(0.1f, 1, 1, 1.2f), 3, new() { [4] = 2 }, [new TokenBias(7, -3)]));
        var bytes = Encode(plan);
        BitConverter.TryWriteBytes(bytes.AsSpan(at), number);

        Assert.Contains(violation, StepPlanCodec.Decode(bytes, Limits, new StepPlan()), StringComparison.Ordinal);
    }

    [Fact]
    public void Draws_are_equal_when_they_were_encoded_and_decoded_and_damaged_ones_are_refused()
    {
        var plan = new StepPlan();
        plan.Clear(9);
        for (var i = 0; i < 3; i++) plan.Add(0, [1], [i], samples: true, SamplingParameters.Greedy);
        plan.Add(0, [1, 2], [3], samples: false, SamplingParameters.Greedy, scores: 2, follower: 3);
        var draws = new StepDraws();
        draws.Begin(plan);
        draws.Set(0, 4, new TokenLogprobs(-1.5f, [new TopToken(6, -0.25f), new TopToken(4, -1.5f)]));
        draws.Set(1, 5);
        draws.Set(2, 6, new TokenLogprobs(-2, []));
        draws.SetScore(0, new TokenLogprobs(-3, [new TopToken(8, -0.5f)]) { Rank = 7 });
        draws.SetScore(1, new TokenLogprobs(-0.5f, [new TopToken(3, -0.5f)]) { Rank = 1 });
        byte[] buffer = [];

        var bytes = StepDrawsCodec.Encode(draws, ref buffer).ToArray();

        Assert.Null(StepDrawsCodec.Decode(bytes, 9, 3, 2, 500, out var result));
        Assert.Equal([4, 5, 6], result!.Tokens);
        Assert.Equal(draws.Logprobs.ToArray(), result.Logprobs);
        Assert.Equal(draws.Scores.ToArray(), result.Scores);
        Assert.Null(StepDrawsCodec.Decode(bytes.AsSpan(0, 12), 9, 3, 0, 500, out var plain));
        Assert.Empty(plain!.Logprobs);
        Assert.NotNull(StepDrawsCodec.Decode(bytes, 9, 3, 2, 6, out _));
        // Of what was drawn, what is cut between two tokens' log-probabilities says less, and nothing wrong.
        int[] whole = [12, 12 + 32, 12 + 32 + 16];
        for (var length = 0; length < bytes.Length; length++)
        {
            Assert.NotNull(StepDrawsCodec.Decode(bytes.AsSpan(0, length), 9, 3, 2, 500, out _));
            if (length > whole[^1]) continue;
            var violation = StepDrawsCodec.Decode(bytes.AsSpan(0, length), 9, 3, 0, 500, out _);
            Assert.True(whole.Contains(length) == violation is null, $"{length}: {violation}");
        }
    }

    private static int[] Shape(Random numbers)
    {
        var seen = Enumerable.Range(0, numbers.Next(5)).ToDictionary(i => i * 7, i => i);
        return Written(
            new LogitPenalties(0.1f, 1, -1, 1.2f), numbers.Next(2) == 0 ? null : numbers.Next(21), seen,
            [new TokenBias(3, float.NegativeInfinity)]);
    }

    private static int[] Written(
        LogitPenalties penalties, int? top, Dictionary<int, int> seen, TokenBias[] biases)
    {
        var shape = new List<int>();
        DrawShape.Write(shape, penalties, top, seen, biases);
        return [.. shape];
    }

    private static byte[] Encode(StepPlan plan)
    {
        var bytes = new byte[StepPlanCodec.EncodedBytes(plan)];
        StepPlanCodec.Encode(plan, bytes);
        return bytes;
    }

    private static void AssertWithinLimits(StepPlan plan)
    {
        Assert.InRange(plan.TokenCount, 1, Limits.StepTokensMax);
        Assert.InRange(plan.Chunks.Length, 1, Limits.SequencesMax);
        foreach (var page in plan.Pages) Assert.InRange(page, 0, Limits.PageCount - 1);
        foreach (var chunk in plan.Chunks)
        {
            Assert.InRange(chunk.Start + chunk.Count, 1, Limits.ContextMax);
            Assert.InRange(chunk.Start, 0, Limits.ContextMax);
            _ = plan.Tokens.Slice(chunk.TokenOffset, chunk.Count);
            Assert.Equal(KvPage.Count(chunk.Start + chunk.Count), chunk.PageCount);
            _ = plan.Pages.Slice(chunk.PageOffset, chunk.PageCount);
            foreach (var scored in plan.ScoredRows)
            {
                Assert.InRange(scored.Row, 0, plan.TokenCount - 1);
                Assert.InRange(scored.Top, 0, TokenLogprobs.TopMax);
            }

            var shape = plan.ShapeOf(chunk);
            foreach (var (token, _) in shape.Seen) Assert.InRange(token, 0, Limits.VocabularySize - 1);
            foreach (var (token, _) in shape.Biases) Assert.InRange(token, 0, Limits.VocabularySize - 1);
        }
    }
}
