using CsCheck;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.Engine;

public sealed class TokenSamplerTests
{
    private static readonly Gen<float[]> Logits = Gen.Float[-8, 8].Array[2, 60];

    [Fact]
    public void Greedy_takes_the_first_of_the_largest()
    {
        Assert.Equal(1, TokenSampler.Draw([1, 5, 3, 5], SamplingParameters.Greedy, 0));
        Logits.Sample(logits => TokenSampler.Draw(logits, SamplingParameters.Greedy, 9)
            == Array.IndexOf(logits, logits.Max()));
    }

    [Theory]
    [InlineData(1f, 1f, 0)]
    [InlineData(0.5f, 1f, 0)]
    [InlineData(2f, 0.7f, 0)]
    [InlineData(1f, 1f, 3)]
    [InlineData(1f, 0.6f, 4)]
    public void Frequencies_match_the_distribution(float temperature, float topP, int topK)
    {
        const int Draws = 60_000;
        float[] logits = [0.3f, 2.1f, -1f, 1.4f, 0.3f, 3f, -4f, 0.9f];
        var expected = Distribution(logits, temperature, topP, topK);
        var counts = new int[logits.Length];

        for (var position = 0; position < Draws; position++)
            counts[TokenSampler.Draw(logits, new SamplingParameters(temperature, topP, topK, 42), position)]++;

        for (var i = 0; i < logits.Length; i++)
        {
            var deviation = Math.Sqrt(expected[i] * (1 - expected[i]) / Draws);
            Assert.InRange((double)counts[i] / Draws, expected[i] - (5 * deviation), expected[i] + (5 * deviation));
        }
    }

    [Fact]
    public void Drawn_token_is_always_among_the_allowed() =>
        Gen.Select(Logits, Gen.Float[0.05f, 3], Gen.Float[0.01f, 1], Gen.Int[0, 70], Gen.ULong, Gen.Int[0, 100_000])
            .Sample((logits, temperature, topP, topK, seed, position) =>
            {
                var token = TokenSampler.Draw(logits, new SamplingParameters(temperature, topP, topK, seed), position);
                return Distribution(logits, temperature, topP, topK)[token] > 0;
            });

    [Fact]
    public void Draw_depends_on_nothing_but_logits_parameters_and_position() =>
        Gen.Select(Logits, Logits, Gen.ULong, Gen.Int[0, 1000]).Sample((logits, others, seed, position) =>
        {
            var sampling = new SamplingParameters(0.9f, 0.95f, 20, seed);
            var first = TokenSampler.Draw(logits, sampling, position);
            TokenSampler.Draw(others, sampling with { TopK = 3 }, position + 1);
            return TokenSampler.Draw(logits, sampling, position) == first;
        });

    [Fact]
    public void Generator_is_uniform_over_seeds_and_positions()
    {
        const int Side = 300;
        var bins = new int[16];
        for (var seed = 0; seed < Side; seed++)
        {
            for (var position = 0; position < Side; position++)
                bins[(int)(TokenSampler.Uniform((ulong)seed, position) * bins.Length)]++;
        }

        var mean = Side * Side / (double)bins.Length;
        Assert.True(bins.Sum(n => (n - mean) * (n - mean) / mean) < 45, "chi-squared over 16 bins");
    }

    [Fact]
    public void Vast_flat_vocabulary_keeps_every_token_possible()
    {
        var logits = new float[100_000];
        var drawn = Enumerable.Range(0, 50)
            .Select(i => TokenSampler.Draw(logits, new SamplingParameters(1, 0.999f, 0, 3), i)).Distinct().Count();

        Assert.True(drawn >= 49);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Broken_logits_are_an_error(float broken)
    {
        Assert.Throws<ArithmeticException>(() => TokenSampler.Draw([1, broken, 2], SamplingParameters.Greedy, 0));
        Assert.Throws<ArithmeticException>(() =>
            TokenSampler.Draw([float.NegativeInfinity, float.NegativeInfinity], new(1, 1, 0, 0), 0));
    }

    /// <summary>What the parameters ask for, computed the slow way.</summary>
    private static double[] Distribution(float[] logits, float temperature, float topP, int topK)
    {
        var max = logits.Max();
        var order = Enumerable.Range(0, logits.Length)
            .Select(i => (Token: i, Weight: Math.Exp(((double)logits[i] - max) / temperature)))
            .OrderByDescending(t => t.Weight).ThenBy(t => t.Token)
            .Take(topK == 0 ? logits.Length : topK).ToArray();
        var total = order.Sum(t => t.Weight);
        var kept = new List<(int Token, double Weight)>();
        foreach (var token in order)
        {
            // The margin admits what only the order of additions would exclude.
            if (kept.Count > 0 && topP < 1 && kept.Sum(t => t.Weight) >= (topP * total) + 1e-9) break;
            kept.Add(token);
        }

        var result = new double[logits.Length];
        foreach (var (token, weight) in kept) result[token] = weight / kept.Sum(t => t.Weight);
        return result;
    }
}
