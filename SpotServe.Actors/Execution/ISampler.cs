using System.Collections.Immutable;

namespace SpotServe.Actors.Execution;

/// <summary>
/// Draws next tokens where the logits are. A device's sampler says which draws it can do; the logits of all others are
/// brought to the host, whose <see cref="HostSampler"/> can do all. For one chunk both draw the same token.
/// </summary>
public interface ISampler
{
    /// <summary>Whether it does all that a sampling chunk asks for: temperature, top-k and top-p, and where
    /// <see cref="SequenceChunk.ShapeLength"/> is not 0 penalties, biases, min-p and log-probabilities.</summary>
    bool Draws(in SequenceChunk chunk);
}

/// <summary>Draws on the CPU, whatever is asked for. Stateless but for scratch memory: one owner.</summary>
public sealed class HostSampler : ISampler
{
    private float[] _changed = [];

    public bool Draws(in SequenceChunk chunk) => true;

    /// <summary>Draws for the <paramref name="sample"/>th sampling chunk of a plan.</summary>
    /// <param name="logits">One for each token of the vocabulary, as the model gave them; left as they are.</param>
    /// <exception cref="ArithmeticException">No token can be drawn from these logits.</exception>
    public void Draw(StepPlan plan, int sample, ReadOnlySpan<float> logits, StepDraws draws)
    {
        ref readonly var chunk = ref plan.Chunks[plan.ChunkOfSample(sample)];
        var token = Draw(
            logits, chunk.Sampling, plan.ShapeOf(chunk), chunk.Start + chunk.Count, out var logprobs);
        draws.Set(sample, token, logprobs);
    }

    /// <summary>Scores a token of a prompt.</summary>
    /// <param name="logits">Of the row before it, as the model gave them.</param>
    /// <exception cref="ArithmeticException">The logits are no numbers.</exception>
    public static TokenLogprobs Score(ReadOnlySpan<float> logits, in ScoredRow row)
    {
        var rank = 1;
        foreach (var logit in logits)
        {
            if (float.IsNaN(logit)) throw new ArithmeticException("A logit is not a number.");
            if (logit > logits[row.Target]) rank++;
        }

        var score = LogprobsOf(logits, row.Target, row.Top) with { Rank = rank };
        return float.IsNaN(score.Logprob)
            ? throw new ArithmeticException("The logits have no largest one that is a number.")
            : score;
    }

    /// <param name="position">Index in the sequence of the token to draw.</param>
    /// <param name="logprobs">Where the shape asks for them; else null.</param>
    public int Draw(
        ReadOnlySpan<float> logits, SamplingParameters sampling, DrawShape shape, int position,
        out TokenLogprobs? logprobs)
    {
        logprobs = null;
        if (shape.IsPlain) return TokenSampler.Draw(logits, sampling, position);
        if (_changed.Length < logits.Length) _changed = new float[logits.Length];
        var changed = _changed.AsSpan(0, logits.Length);
        logits.CopyTo(changed);
        Change(changed, shape);
        var token = TokenSampler.Draw(changed, sampling, position, shape.Penalties.MinP);
        if (shape.TopLogprobs is { } top) logprobs = LogprobsOf(logits, token, top);
        return token;
    }

    /// <summary>Biases first, then penalties, as in vLLM.</summary>
    private static void Change(Span<float> logits, DrawShape shape)
    {
        foreach (var (token, bias) in shape.Biases) logits[token] += bias;
        var penalties = shape.Penalties;
        foreach (var (token, generated) in shape.Seen)
        {
            var given = logits[token];
            var logit = given > 0 ? given / penalties.Repetition : given * penalties.Repetition;
            // A penalty may be so small that the quotient is no finite number; that is no fault of the model's.
            if (float.IsFinite(given)) logit = Math.Clamp(logit, float.MinValue, float.MaxValue);
            logit -= penalties.Frequency * generated;
            logits[token] = generated > 0 ? logit - penalties.Presence : logit;
        }
    }

    private static TokenLogprobs LogprobsOf(ReadOnlySpan<float> logits, int token, int top)
    {
        var largest = float.NegativeInfinity;
        foreach (var logit in logits) largest = Math.Max(largest, logit);
        var sum = 0.0;
        foreach (var logit in logits) sum += Math.Exp((double)logit - largest);
        var normaliser = largest + Math.Log(sum);
        return new TokenLogprobs((float)(logits[token] - normaliser), Likeliest(logits, top, normaliser));
    }

    private static ImmutableArray<TopToken> Likeliest(ReadOnlySpan<float> logits, int top, double normaliser)
    {
        // Likeliest first; an insertion for each of the few that get in.
        var count = Math.Min(top, logits.Length);
        var found = new List<int>(count + 1);
        for (var token = 0; token < logits.Length && count > 0; token++)
        {
            if (found.Count == count && !(logits[token] > logits[found[^1]])) continue;
            var at = found.Count;
            while (at > 0 && logits[token] > logits[found[at - 1]]) at--;
            found.Insert(at, token);
            if (found.Count > count) found.RemoveAt(count);
        }

        var tokens = ImmutableArray.CreateBuilder<TopToken>(found.Count);
        foreach (var token in found) tokens.Add(new TopToken(token, (float)(logits[token] - normaliser)));
        return tokens.MoveToImmutable();
    }
}
