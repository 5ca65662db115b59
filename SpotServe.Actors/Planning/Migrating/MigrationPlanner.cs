using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>
/// Plans how slices get from where they are to where the target layout needs them: weights from the front layers
/// on, then KV pages, within every device's memory, from whoever can send each soonest.
/// </summary>
/// <remarks>Algorithm 2 of SpotServe (ASPLOS '24), with copying while serving, storage as a source, and
/// deadlines.</remarks>
internal static class MigrationPlanner
{
    /// <summary>
    /// The plan, by the first of these that works: copy while serving; stop, and hold old and new side by side; the
    /// same without KV pages, whose requests are then computed anew; free first, on the devices that are short, and
    /// load again from the other holders or storage.
    /// </summary>
    /// <exception cref="MigrationMemoryException">None of them stays within the budgets; says where and by how
    /// much.</exception>
    /// <exception cref="SourceLostException">Weights that nobody has any more, and no storage to load them
    /// from.</exception>
    /// <exception cref="PlanningException">Duplicate names, or rates that are not usable.</exception>
    public static MigrationPlan Plan(MigrationProblem problem)
    {
        problem.Require();
        var kept = problem.Inherited.Kept;
        var notes = ImmutableArray.CreateBuilder<string>();
        while (true)
        {
            DraftOutcome outcome;
            try
            {
                outcome = Try(problem, kept, urgentFirst: false);
            }
            catch (SourceLostException) when (!problem.Leaving.IsEmpty)
            {
                return Urgent(problem, kept, notes);
            }

            if (outcome is DraftOutcome.CacheLate late)
            {
                // Each round gives up one replica's pages, so this ends.
                kept = kept.Remove(late.Inherited);
                notes.Add(
                    $"KV of replica {late.Inherited.OldReplica} is not expected in time: its nodes leave before. "
                    + $"{late.Inherited.Requests.Length} requests may have to be computed anew from their tokens.");
                continue;
            }

            if (outcome is DraftOutcome.Stuck && !kept.IsEmpty
                && Try(problem, [], urgentFirst: false) is DraftOutcome.Done without)
            {
                notes.Add(NoRoom(kept));
                return Noted(without.Plan, notes, cacheGivenUp: true);
            }

            return outcome switch
            {
                DraftOutcome.Done done => Noted(done.Plan, notes, kept.Length < problem.Inherited.Kept.Length),
                DraftOutcome.Stuck stuck => FreeFirst(problem, kept, stuck, notes),
                _ => throw new System.Diagnostics.UnreachableException(),
            };
        }
    }

    private static DraftOutcome Try(MigrationProblem problem, ImmutableArray<InheritedCache> kept, bool urgentFirst)
    {
        var scene = new MigrationScene(problem, kept);
        if (problem.CopyWhileServing
            && new DraftBuilder(problem, scene, stop: false, urgentFirst).Build() is DraftOutcome.Done serving)
        {
            return serving;
        }

        return new DraftBuilder(problem, scene, stop: true, urgentFirst).Build();
    }

    /// <summary>
    /// In the usual order some weights would still be on their way when their last holder goes: those go first, and if
    /// pages are in their way, pages are given up, for they can be computed anew and weights cannot.
    /// </summary>
    /// <exception cref="SourceLostException">Even so they are too late, and there is no storage.</exception>
    private static MigrationPlan Urgent(
        MigrationProblem problem, ImmutableArray<InheritedCache> kept, ImmutableArray<string>.Builder notes)
    {
        notes.Add("Weights that only leaving nodes have go first.");
        if (Try(problem, kept, urgentFirst: true) is DraftOutcome.Done withPages)
        {
            return Noted(withPages.Plan, notes, kept.Length < problem.Inherited.Kept.Length);
        }

        switch (Try(problem, [], urgentFirst: true))
        {
            case DraftOutcome.Done done:
                if (!kept.IsEmpty)
                    notes.Add($"No KV pages are expected in time: their nodes leave too early. {Anew(kept)}");
                return Noted(done.Plan, notes, cacheGivenUp: !problem.Inherited.Kept.IsEmpty);
            case DraftOutcome.Stuck stuck:
                throw new MigrationMemoryException(stuck.Device, stuck.NeedBytes, stuck.BudgetBytes, stuck.Reason);
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    /// <summary>The last resort: pressed devices drop what they will not need, and load the rest from
    /// elsewhere.</summary>
    private static MigrationPlan FreeFirst(
        MigrationProblem problem,
        ImmutableArray<InheritedCache> kept,
        DraftOutcome.Stuck stuck,
        ImmutableArray<string>.Builder notes)
    {
        try
        {
            var scene = new MigrationScene(
                problem, [], before => [.. before.Pressed().Select(i => before.DeviceOf[i])]);
            if (new DraftBuilder(problem, scene, stop: true).Build() is DraftOutcome.Done done)
            {
                if (!kept.IsEmpty) notes.Add(NoRoom(kept));
                notes.Add("Devices that are short of memory free first and load what they need again.");
                return Noted(done.Plan, notes, cacheGivenUp: !problem.Inherited.Kept.IsEmpty);
            }
        }
        catch (SourceLostException)
        {
            // Freed first, that slice would be gone for good: then there is no order, and the memory is the reason.
        }

        throw new MigrationMemoryException(stuck.Device, stuck.NeedBytes, stuck.BudgetBytes, stuck.Reason);
    }

    private static string NoRoom(ImmutableArray<InheritedCache> kept) =>
        $"All KV pages are given up: there is no memory to move them. {Anew(kept)}";

    private static string Anew(ImmutableArray<InheritedCache> kept) =>
        $"{kept.Sum(cache => cache.Requests.Length)} requests are computed anew from their tokens.";

    private static MigrationPlan Noted(MigrationPlan plan, ImmutableArray<string>.Builder notes, bool cacheGivenUp)
    {
        var (frees, bytes) = (0, 0L);
        foreach (var step in plan.Steps)
        {
            if (step is MigrationStep.FreeWeights { Early: true } or MigrationStep.FreeCache { Early: true })
            {
                frees++;
                bytes += step.Bytes;
            }
        }

        if (frees > 0)
        {
            notes.Add(
                $"{frees} slices ({Sizes.Text(bytes)}) are freed early: the old layout stops before anything moves.");
        }

        return plan with { Notes = notes.ToImmutable(), CacheGivenUp = cacheGivenUp };
    }
}
