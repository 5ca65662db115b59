using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;
using SpotServe.Node.Engine.Cuda;

namespace SpotServe.Node.Engine;

/// <summary>Chunks of prompts, neighbours in a step, as a step of their own.</summary>
/// <param name="FirstRow">Their first row among those of the whole step.</param>
/// <param name="FirstSample">Drawn tokens of the whole step before theirs.</param>
/// <param name="FirstScore">Scored rows of the whole step before theirs.</param>
internal readonly record struct PromptChunks(StepPlan Plan, int FirstRow, int FirstSample, int FirstScore);

/// <summary>
/// Divides a step between the decode kernels, which take generated tokens, and what takes the chunks of prompts, so
/// that what else is in the step changes no bit of either. Reused from step to step.
/// </summary>
internal sealed class StepDivision
{
    private readonly List<DecodeColumn> _columns = [];
    private readonly List<PromptChunks> _prompts = [];
    private readonly List<StepPlan> _plans = [];

    /// <summary>Tokens for the decode kernels.</summary>
    public ReadOnlySpan<DecodeColumn> Columns => CollectionsMarshal.AsSpan(_columns);

    public IReadOnlyList<PromptChunks> Prompts => _prompts;

    /// <param name="device">What draws for the decode kernels.</param>
    /// <param name="together">Neighbouring chunks share their products: no row of these changes a bit of
    /// another.</param>
    public void Divide(StepPlan plan, ISampler device, bool together)
    {
        _columns.Clear();
        _prompts.Clear();
        var (samples, scored, follows) = (0, 0, false);
        for (var i = 0; i < plan.Chunks.Length; i++)
        {
            ref readonly var chunk = ref plan.Chunks[i];
            int? sample = chunk.Samples != 0 ? samples++ : null;
            // The decode kernels give no logits but those that they draw from.
            var isDecode = chunk.ScoredRows == 0 && (chunk.Count == 1 || chunk.Replays != 0);
            if (isDecode) AddColumns(i, chunk, sample, !device.Draws(chunk));
            else AddPrompt(plan, chunk, sample is null ? samples : samples - 1, scored, together && follows);
            follows = !isDecode;
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

    private void AddPrompt(StepPlan plan, in SequenceChunk chunk, int firstSample, int firstScore, bool joins)
    {
        if (!joins)
        {
            if (_prompts.Count == _plans.Count) _plans.Add(new StepPlan());
            var fresh = _plans[_prompts.Count];
            fresh.Clear(plan.StepId);
            _prompts.Add(new PromptChunks(fresh, chunk.TokenOffset, firstSample, firstScore));
        }

        _prompts[^1].Plan.Add(
            chunk.Start, plan.Tokens.Slice(chunk.TokenOffset, chunk.Count),
            plan.Pages.Slice(chunk.PageOffset, chunk.PageCount), chunk.Samples != 0, chunk.Sampling,
            scores: chunk.Scores, follower: chunk.Follower);
    }
}
