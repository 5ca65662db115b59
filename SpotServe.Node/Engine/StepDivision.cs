using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;
using SpotServe.Node.Engine.Cuda;

namespace SpotServe.Node.Engine;

/// <summary>A chunk of a prompt as a step of its own.</summary>
/// <param name="FirstRow">Its first row among those of the whole step.</param>
/// <param name="Sample">Index of its drawn token among the whole step's; null where it draws none.</param>
/// <param name="FirstScore">Index of its first scored row among the whole step's.</param>
internal readonly record struct PromptChunk(StepPlan Plan, int FirstRow, int? Sample, int FirstScore);

/// <summary>
/// Divides a step between the decode kernels, which take generated tokens, and libtorch, which takes the chunks of
/// prompts, each by itself: what else is in the step then changes no bit of either. Reused from step to step.
/// </summary>
internal sealed class StepDivision
{
    private readonly List<DecodeColumn> _columns = [];
    private readonly List<PromptChunk> _prompts = [];
    private readonly List<StepPlan> _plans = [];

    /// <summary>Tokens for the decode kernels.</summary>
    public ReadOnlySpan<DecodeColumn> Columns => CollectionsMarshal.AsSpan(_columns);

    public IReadOnlyList<PromptChunk> Prompts => _prompts;

    /// <param name="device">What draws for the decode kernels.</param>
    public void Divide(StepPlan plan, ISampler device)
    {
        _columns.Clear();
        _prompts.Clear();
        var (samples, scored) = (0, 0);
        for (var i = 0; i < plan.Chunks.Length; i++)
        {
            ref readonly var chunk = ref plan.Chunks[i];
            int? sample = chunk.Samples != 0 ? samples++ : null;
            // The decode kernels give no logits but those that they draw from.
            var isDecode = chunk.ScoredRows == 0 && (chunk.Count == 1 || chunk.Replays != 0);
            if (isDecode) AddColumns(i, chunk, sample, !device.Draws(chunk));
            else AddPrompt(plan, chunk, sample, scored);
            scored += chunk.ScoredRows;
        }
    }

    private void AddColumns(int index, in SequenceChunk chunk, int? sample, bool onHost)
    {
        for (var j = 0; j < chunk.Count; j++)
        {
            var isLast = j == chunk.Count - 1;
            _columns.Add(new DecodeColumn(
                index, chunk.TokenOffset + j, chunk.Start + j, isLast ? sample : null, onHost));
        }
    }

    private void AddPrompt(StepPlan plan, in SequenceChunk chunk, int? sample, int firstScore)
    {
        if (_prompts.Count == _plans.Count) _plans.Add(new StepPlan());
        var own = _plans[_prompts.Count];
        own.Clear(plan.StepId);
        own.Add(
            chunk.Start, plan.Tokens.Slice(chunk.TokenOffset, chunk.Count),
            plan.Pages.Slice(chunk.PageOffset, chunk.PageCount), sample is not null, chunk.Sampling,
            scores: chunk.Scores, follower: chunk.Follower);
        _prompts.Add(new PromptChunk(own, chunk.TokenOffset, sample, firstScore));
    }
}
