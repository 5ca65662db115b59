using System.Runtime.InteropServices;

namespace SpotServe.Actors.Execution;

/// <summary>
/// What a step draws: a token for each sampling chunk of its plan, in chunk order, and log-probabilities where the
/// chunk asks for them. Reused from step to step by one owner.
/// </summary>
public sealed class StepDraws
{
    private readonly List<int> _tokens = [];
    private readonly List<TokenLogprobs?> _logprobs = [];

    public int Count => _tokens.Count;

    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    /// <summary>As many as tokens; null where none were asked for.</summary>
    public ReadOnlySpan<TokenLogprobs?> Logprobs => CollectionsMarshal.AsSpan(_logprobs);

    /// <summary>Forgets the step before, and makes room for this one's.</summary>
    public void Begin(StepPlan plan)
    {
        _tokens.Clear();
        _logprobs.Clear();
        for (var i = 0; i < plan.SampleCount; i++)
        {
            _tokens.Add(0);
            _logprobs.Add(null);
        }
    }

    public void Set(int sample, int token, TokenLogprobs? logprobs = null)
    {
        _tokens[sample] = token;
        _logprobs[sample] = logprobs;
    }

    /// <summary>The step's result, on its own memory.</summary>
    public StepResult ToResult(long stepId)
    {
        var hasLogprobs = false;
        foreach (var logprobs in _logprobs) hasLogprobs |= logprobs is not null;
        return new StepResult(stepId, [.. _tokens]) { Logprobs = hasLogprobs ? [.. _logprobs] : [] };
    }
}
