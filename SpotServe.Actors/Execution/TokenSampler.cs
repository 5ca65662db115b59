namespace SpotServe.Actors.Execution;

/// <summary>
/// Draws a token from logits. The only randomness is a hash of (seed, position), so that a sequence goes on the same
/// way in another batch, on another layout, or after a migration.
/// </summary>
internal static class TokenSampler
{
    /// <summary>Candidates are sought among weights above this share of the largest, then above ever smaller
    /// ones.</summary>
    private const double FirstCutoff = 1e-3;
    private const double CutoffStep = 1e-3;
    private const double LastCutoff = 1e-300;

    [ThreadStatic] private static double[]? _weights;
    [ThreadStatic] private static int[]? _candidates;

    /// <summary>Draws the token of a position.</summary>
    /// <param name="logits">One for each token of the vocabulary.</param>
    /// <param name="position">Index in the sequence of the token to draw: the counter of the generator.</param>
    /// <returns>Greedy (temperature 0): the first of the largest logits. Else a token with probability
    /// softmax(logits / temperature), after only those at least minP times as likely as the likeliest, of them the TopK
    /// likeliest and of those only the likeliest with mass TopP are
    /// left (equal ones in order of id).</returns>
    /// <exception cref="ArithmeticException">Logits hold NaN or positive infinity, or are all negative infinity: the
    /// model, its weights or this sequence's cache are broken.</exception>
    public static int Draw(
        ReadOnlySpan<float> logits, SamplingParameters sampling, int position, float minP = 0)
    {
        Invariant.Holds(logits.Length > 0);
        Invariant.Holds(sampling.Temperature >= 0 && sampling.TopK >= 0 && sampling.TopP > 0);
        var best = FirstLargest(logits);
        var topK = sampling.TopK == 0 ? logits.Length : Math.Min(sampling.TopK, logits.Length);
        if (sampling.Temperature == 0 || topK == 1) return best;

        var weights = Scratch(ref _weights, logits.Length);
        var total = 0.0;
        for (var i = 0; i < logits.Length; i++)
        {
            var weight = Math.Exp(((double)logits[i] - logits[best]) / sampling.Temperature);
            weights[i] = weight < minP ? 0 : weight;
            total += weights[i];
        }

        var uniform = Uniform(sampling.Seed, position);
        if (topK == logits.Length && sampling.TopP >= 1) return Pick(weights, best, uniform * total);

        var candidates = Candidates(weights, topK, sampling.TopP, total);
        var kept = candidates[..Math.Min(topK, candidates.Length)];
        return PickNucleus(weights, kept, sampling.TopP, topK == logits.Length ? total : null, uniform);
    }

    /// <summary>A number in [0, 1) that depends on nothing but its arguments.</summary>
    public static double Uniform(ulong seed, int position)
    {
        var bits = Mix(Mix(seed + 0x9E3779B97F4A7C15) + (((ulong)(uint)position + 1) * 0x9E3779B97F4A7C15));
        return (bits >> 11) * (1.0 / (1UL << 53));

        // SplitMix64's finaliser.
        static ulong Mix(ulong z)
        {
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }
    }

    private static int FirstLargest(ReadOnlySpan<float> logits)
    {
        var best = 0;
        for (var i = 0; i < logits.Length; i++)
        {
            if (float.IsNaN(logits[i]))
                throw new ArithmeticException($"The logit of token {i} is not a number.");
            if (logits[i] > logits[best]) best = i;
        }

        return float.IsFinite(logits[best])
            ? best
            : throw new ArithmeticException($"The largest logit is {logits[best]}.");
    }

    private static int Pick(ReadOnlySpan<double> weights, int fallback, double target)
    {
        var sum = 0.0;
        for (var i = 0; i < weights.Length; i++)
        {
            sum += weights[i];
            if (target < sum) return i;
        }

        return fallback;
    }

    /// <summary>Enough of the likeliest tokens to hold the TopK and the nucleus, likeliest first. Sorts few of them
    /// unless the distribution is flat.</summary>
    private static ReadOnlySpan<int> Candidates(ReadOnlySpan<double> weights, int topK, float topP, double total)
    {
        var found = Scratch(ref _candidates, weights.Length);
        for (var cutoff = FirstCutoff; ; cutoff = cutoff <= LastCutoff ? 0 : cutoff * CutoffStep)
        {
            var count = 0;
            var mass = 0.0;
            for (var i = 0; i < weights.Length; i++)
            {
                if (weights[i] < cutoff) continue;
                found[count++] = i;
                mass += weights[i];
            }

            // The nucleus of a TopK-limited distribution lies within the TopK, whose mass is not known yet.
            var enough = topK < weights.Length ? count >= topK : mass >= topP * total;
            if (!enough && cutoff > 0) continue;
            SortByWeight(found[..count], weights);
            return found[..count];
        }
    }

    private static void SortByWeight(Span<int> tokens, ReadOnlySpan<double> weights)
    {
        var keys = new (double Weight, int Token)[tokens.Length];
        for (var i = 0; i < tokens.Length; i++) keys[i] = (-weights[tokens[i]], tokens[i]);
        keys.AsSpan().Sort();
        for (var i = 0; i < tokens.Length; i++) tokens[i] = keys[i].Token;
    }

    /// <param name="total">Mass that TopP is a share of; null is that of the candidates.</param>
    private static int PickNucleus(
        ReadOnlySpan<double> weights, ReadOnlySpan<int> candidates, float topP, double? total, double uniform)
    {
        var mass = 0.0;
        foreach (var token in candidates) mass += weights[token];
        var wanted = topP >= 1 ? double.PositiveInfinity : topP * (total ?? mass);
        var nucleus = 0.0;
        var count = 0;
        while (count < candidates.Length && (count == 0 || nucleus < wanted)) nucleus += weights[candidates[count++]];

        var target = uniform * nucleus;
        var sum = 0.0;
        foreach (var token in candidates[..count])
        {
            sum += weights[token];
            if (target < sum) return token;
        }

        return candidates[0];
    }

    private static Span<T> Scratch<T>(ref T[]? array, int length)
    {
        if (array is null || array.Length < length) array = new T[length];
        return array.AsSpan(0, length);
    }
}
