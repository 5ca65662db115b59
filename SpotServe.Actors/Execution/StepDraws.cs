using System.Runtime.InteropServices;

namespace SpotServe.Actors.Execution;

/// <summary>
/// What a step draws: a token for each sampling chunk of its plan, in chunk order, and log-probabilities where the
/// chunk asks for them, of what it drew or of the prompt's tokens. Reused from step to step by one owner.
/// </summary>
public sealed class StepDraws
{
    private readonly List<int> _tokens = [];
    private readonly List<TokenLogprobs?> _logprobs = [];
    private readonly List<TokenLogprobs?> _scores = [];

    public int Count => _tokens.Count;

    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    /// <summary>As many as tokens; null where none were asked for.</summary>
    public ReadOnlySpan<TokenLogprobs?> Logprobs => CollectionsMarshal.AsSpan(_logprobs);

    /// <summary>One for each of <see cref="StepPlan.ScoredRows"/>; null before it is set.</summary>
    public ReadOnlySpan<TokenLogprobs?> Scores => CollectionsMarshal.AsSpan(_scores);

    /// <summary>Forgets the step before, and makes room for this one's.</summary>
    public void Begin(StepPlan plan)
    {
        _tokens.Clear();
        _logprobs.Clear();
        _scores.Clear();
        for (var i = 0; i < plan.SampleCount; i++)
        {
            _tokens.Add(0);
            _logprobs.Add(null);
        }

        for (var i = 0; i < plan.ScoredRows.Length; i++) _scores.Add(null);
    }

    public void Set(int sample, int token, TokenLogprobs? logprobs = null)
    {
        _tokens[sample] = token;
        _logprobs[sample] = logprobs;
    }

    /// <param name="index">Among the plan's scored rows.</param>
    public void SetScore(int index, TokenLogprobs logprobs) => _scores[index] = logprobs;

    /// <summary>The step's result, on its own memory.</summary>
    public StepResult ToResult(long stepId)
    {
        var hasLogprobs = false;
        foreach (var logprobs in _logprobs) hasLogprobs |= logprobs is not null;
        return new StepResult(stepId, [.. _tokens])
        {
            Logprobs = hasLogprobs ? [.. _logprobs] : [],
            Scores = _scores.Count == 0 ? [] : [.. _scores.Select(Set)],
        };

        static TokenLogprobs Set(TokenLogprobs? score)
        {
            Invariant.Holds(score is not null, "a step scores each row that its plan names");
            return score;
        }
    }
}
