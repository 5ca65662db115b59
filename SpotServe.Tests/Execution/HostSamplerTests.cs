using CsCheck;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.Execution;

/// <summary>What a draw makes of logits, beside a computation that takes each rule as it is written.</summary>
public sealed class HostSamplerTests
{
    private const int Vocabulary = 12;

    private sealed record Case(
        float[] Logits, int[] Prompt, int[] Generated, LogitPenalties Penalties, TokenBias[] Biases, ulong Seed,
        float Temperature);

    private static readonly Gen<Case> Cases = Gen.Select(
        Gen.Float[-9, 9].Array[Vocabulary],
        Gen.Int[0, Vocabulary - 1].Array[1, 6],
        Gen.Int[0, Vocabulary - 1].Array[0, 6],
        Gen.Select(Gen.Float[0, 0.5f], Gen.Float[-2, 2], Gen.Float[-2, 2], Gen.Float[0.5f, 2]),
        Gen.Select(Gen.Int[0, Vocabulary - 1], Gen.Float[-5, 5]).Array[0, 3],
        Gen.ULong,
        Gen.OneOfConst(0f, 0.7f, 1f, 1.5f))
        .Select((logits, prompt, generated, p, biases, seed, temperature) => new Case(
            logits, prompt, generated, new LogitPenalties(p.Item1, p.Item2, p.Item3, p.Item4),
            [.. biases.DistinctBy(one => one.Item1).Select(one => new TokenBias(one.Item1, one.Item2))], seed,
            temperature));

    [Fact]
    public void Token_is_the_one_that_the_rules_give() => Cases.Sample(one =>
    {
        var position = one.Prompt.Length + one.Generated.Length;

        var drawn = Draw(one, top: null, out _);

        var chances = Chances(one);
        var uniform = TokenSampler.Uniform(one.Seed, position);
        var before = chances.Take(drawn).Sum();
        Assert.True(chances[drawn] > 0);
        Assert.InRange(uniform, before - 1e-6, before + chances[drawn] + 1e-6);
    });

    [Fact]
    public void Penalty_of_any_size_makes_no_logit_infinite() =>
        Gen.Select(Cases, Gen.OneOfConst(float.Epsilon, 1e-38f, 1e-20f, 100f)).Sample((one, repetition) =>
        {
            var extreme = one with { Penalties = one.Penalties with { Repetition = repetition } };

            Assert.InRange(Draw(extreme, top: 1, out _), 0, Vocabulary - 1);
        });

    [Fact]
    public void Logprobs_are_those_of_the_models_logits_whatever_the_draw() =>
        Gen.Select(Cases, Gen.Int[0, Vocabulary + 3]).Sample((one, top) =>
        {
            var drawn = Draw(one, top, out var logprobs);

            var sum = Math.Log(one.Logits.Sum(logit => Math.Exp(logit)));
            Assert.Equal(one.Logits[drawn] - sum, logprobs!.Logprob, 1e-4);
            var likeliest = Enumerable.Range(0, Vocabulary).OrderByDescending(token => one.Logits[token]).Take(top);
            Assert.Equal(likeliest, logprobs.Top.Select(token => token.Token));
            Assert.All(
                logprobs.Top, token => Assert.Equal(one.Logits[token.Token] - sum, token.Logprob, 1e-4));
        });

    [Fact]
    public void Barred_token_is_not_drawn_and_a_plain_shape_changes_nothing() => Cases.Sample(one =>
    {
        var sampling = new SamplingParameters(one.Temperature, 0.9f, 5, one.Seed);
        var sampler = new HostSampler();
        var plain = sampler.Draw(one.Logits, sampling, new DrawShape([]), 7, out _);
        List<int> nothing = [], barring = [];
        DrawShape.Write(nothing, LogitPenalties.None, 0, new Dictionary<int, int> { [plain] = 3 }, []);
        DrawShape.Write(
            barring, LogitPenalties.None, null, null, [new TokenBias(plain, float.NegativeInfinity)]);

        Assert.Equal(plain, TokenSampler.Draw(one.Logits, sampling, 7));
        Assert.Equal(plain, sampler.Draw(one.Logits, sampling, new DrawShape([.. nothing]), 7, out _));
        Assert.NotEqual(plain, sampler.Draw(one.Logits, sampling, new DrawShape([.. barring]), 7, out _));
    });

    private static int Draw(Case one, int? top, out TokenLogprobs? logprobs)
    {
        var shape = new List<int>();
        var seen = one.Prompt.Concat(one.Generated).Distinct()
            .ToDictionary(token => token, token => one.Generated.Count(other => other == token));
        DrawShape.Write(shape, one.Penalties, top, seen, one.Biases);
        return new HostSampler().Draw(
            one.Logits, new SamplingParameters(one.Temperature, 1, 0, one.Seed), new DrawShape([.. shape]),
            one.Prompt.Length + one.Generated.Length, out logprobs);
    }

    /// <summary>Each token's chance, in doubles, rule by rule.</summary>
    private static double[] Chances(Case one)
    {
        var logits = one.Logits.Select(logit => (double)logit).ToArray();
        foreach (var (token, bias) in one.Biases) logits[token] += bias;
        for (var token = 0; token < Vocabulary; token++)
        {
            var repetition = (double)one.Penalties.Repetition;
            if (one.Prompt.Contains(token) || one.Generated.Contains(token))
                logits[token] = logits[token] > 0 ? logits[token] / repetition : logits[token] * repetition;
            logits[token] -= one.Penalties.Frequency * one.Generated.Count(other => other == token);
            if (one.Generated.Contains(token)) logits[token] -= one.Penalties.Presence;
        }

        var largest = Array.IndexOf(logits, logits.Max());
        if (one.Temperature == 0) return [.. logits.Select((_, token) => token == largest ? 1.0 : 0.0)];
        var weights = logits.Select(logit => Math.Exp((logit - logits[largest]) / one.Temperature)).ToArray();
        for (var token = 0; token < Vocabulary; token++)
        {
            if (weights[token] < one.Penalties.MinP) weights[token] = 0;
        }

        return [.. weights.Select(weight => weight / weights.Sum())];
    }
}
