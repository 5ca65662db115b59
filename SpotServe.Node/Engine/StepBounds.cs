using SpotServe.Actors;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine;

/// <summary>What every plan must keep to before memory is read or written by it.</summary>
internal static class StepBounds
{
    /// <exception cref="InvariantException">The plan goes beyond the assignment's or the model's bounds.</exception>
    public static void Check(StepPlan plan, StageAssignment assignment, ModelSpec model)
    {
        Invariant.Holds(plan.TokenCount >= 1 && plan.TokenCount <= assignment.StepTokensMax);
        Invariant.Holds(plan.Chunks.Length <= assignment.SequencesMax);
        foreach (var token in plan.Tokens) Invariant.Holds((uint)token < (uint)model.VocabularySize);
        foreach (var page in plan.Pages) Invariant.Holds((uint)page < (uint)assignment.PageCount);
        foreach (ref readonly var chunk in plan.Chunks)
        {
            Invariant.Holds(chunk.Start >= 0 && chunk.Start + chunk.Count <= model.ContextMax);
            Invariant.Holds(chunk.PageCount == KvPage.Count(chunk.Start + chunk.Count));
        }
    }
}
