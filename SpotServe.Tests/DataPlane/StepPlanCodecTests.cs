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
                        replays: seed % 2 == 0);
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
        Assert.Equal(plan.Chunks, decoded.Chunks);
        Assert.Equal(plan.Tokens, decoded.Tokens);
        Assert.Equal(plan.Pages, decoded.Pages);
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
    [InlineData(84, 100, "page 100; there are 100")]
    public void Decoding_says_what_is_wrong_when_a_number_is(int at, int number, string violation)
    {
        var plan = new StepPlan();
        plan.Clear(1);
        plan.Add(0, [1, 2, 3], [9], samples: true, SamplingParameters.Greedy);
        var bytes = Encode(plan);
        BitConverter.TryWriteBytes(bytes.AsSpan(at), number);

        Assert.Contains(violation, StepPlanCodec.Decode(bytes, Limits, new StepPlan()), StringComparison.Ordinal);
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
        }
    }
}
