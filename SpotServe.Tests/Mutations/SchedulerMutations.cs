using SpotServe.Tests.Replica;
using SpotServe.Tests.Scheduling;

namespace SpotServe.Tests.Mutations;

/// <summary>Bugs of batching, fairness and pages.</summary>
internal static class SchedulerMutations
{
    private const string Folder = "SpotServe.Actors/Scheduling/";

    public static Mutation[] All =>
    [
        new("scheduler: a short request slips past a long one", Folder + "ReplicaScheduler.Planning.cs",
            """
                    while (NextWaiting() is { } sequence && _running.Count < _limits.SequencesMax && tokens < tokensMax)
                    {
                        // Strictly in order: a short one that slipped past a long one could keep it out for ever.
                        if (!TryTakeAll(sequence)) return;
            """,
            """
                    while (_running.Count < _limits.SequencesMax && tokens < tokensMax)
                    {
                        var waiting = _newcomers.Items.Append(_waiting.First!).Where(one => one is not null);
                        if (waiting.FirstOrDefault(TryTakeAll) is not { } sequence) return;
            """,
            Killer.Of<FairnessTests>()),
        new("scheduler: who finds no room goes behind its client's others", Folder + "ReplicaScheduler.Planning.cs",
            """
                        if (!TryTakeAll(sequence)) return;
            """,
            """
                        if (!TryTakeAll(sequence))
                        {
                            if (sequence.Place is not { } place) return;
                            _newcomers.Remove(place);
                            sequence.Place = _newcomers.Add(sequence.Spec.Standing, sequence);
                            return;
                        }
            """,
            Killer.Of<FairnessTests>()),
        new("scheduler: a suspended request goes to the end of the queue", Folder + "ReplicaScheduler.Planning.cs",
            """
                    _waiting.AddBySeniority(sequence);
                    Suspensions++;
            """,
            """
                    _waiting.AddLast(sequence);
                    Suspensions++;
            """,
            Killer.Of<FairnessTests>(), Killer.Of<SchedulerPropertyTests>()),
        new("scheduler: the most senior is suspended", Folder + "ReplicaScheduler.Planning.cs",
            "if (least.IsSeniorTo(sequence)) least = sequence;",
            "if (sequence.IsSeniorTo(least)) least = sequence;",
            Killer.Of<FairnessTests>()),
        new("scheduler: no page is held back for those that run", Folder + "ReplicaScheduler.Planning.cs",
            "Math.Min(_running.Count, _limits.PageCount / 8);",
            "Math.Min(0, _limits.PageCount / 8);",
            Killer.Of<FairnessTests>()),
        new("scheduler: a prefill goes on behind all others", Folder + "ReplicaScheduler.Failures.cs",
            "else _prefillReady.AddBySeniority(sequence);",
            "else _prefillReady.AddLast(sequence);",
            Killer.Of<FairnessTests>(), Killer.Of<SchedulerPropertyTests>()),
        new("scheduler: new pages are taken for those of before", Folder + "ReplicaScheduler.Planning.cs",
            "        sequence.Residence++;\n",
            "        sequence.Residence = 1;\n",
            Killer.Of<OutgoingHandoverTests>()),
        new("scheduler: pages of a cancelled step are free while it runs", Folder + "ReplicaScheduler.cs",
            """
                    if (sequence.IsInFlight)
                    {
                        sequence.Phase = SequencePhase.Cancelled;
            """,
            """
                    if (sequence.IsInFlight && _steps.Count > 99)
                    {
                        sequence.Phase = SequencePhase.Cancelled;
            """,
            Killer.Of<ReplicaSchedulerTests>()),
        new("scheduler: the least advanced of continued requests come first", Folder + "Sequence.cs",
            "? SubmittedCount > other.SubmittedCount",
            "? SubmittedCount < other.SubmittedCount",
            Killer.Of<SchedulerPropertyTests>()),
        new("scheduler: newcomers come before those that had pages", Folder + "ReplicaScheduler.Waiting.cs",
            "_waiting.First ?? (_newcomers.TryPeek(out var next) ? next.Item : null);",
            "_newcomers.TryPeek(out var next) ? next.Item : _waiting.First;",
            Killer.Of<ReplicaSchedulerTests>(), Killer.Of<FairnessTests>()),
        new("fair queue: weights count for nothing", Folder + "FairQueue.cs",
            "client.Got += (tokens + expected) / client.Weight;",
            "client.Got += tokens + expected;",
            Killer.Of<FairQueueTests>()),
        new("fair queue: who comes back has what it did not ask for", Folder + "FairQueue.cs",
            "client.Got = Math.Max(client.Got, _time);",
            "client.Got = Math.Max(client.Got, 0);",
            Killer.Of<FairQueueTests>()),
        new("fair queue: virtual time stands still while new clients come", Folder + "FairQueue.cs",
            "_time = Math.Max(_time + (tokens / weights), client.Got);",
            "_time = Math.Max(_time, client.Got);",
            Killer.Of<FairQueueTests>()),
        new("fair queue: what a completion cost is not settled", Folder + "FairQueue.cs",
            "client.Got += (completion - charge.Expected) / client.Weight;",
            "client.Got += 0 * (completion - charge.Expected) / client.Weight;",
            Killer.Of<FairQueueTests>()),
        new("fair queue: a client's priorities do not age", Folder + "FairQueue.cs",
            "(place.CameAt + ((double)place.Priority * PriorityTokens), place.Arrival);",
            "(((double)place.Priority * PriorityTokens), place.Arrival);",
            Killer.Of<FairQueueTests>()),
        new("scheduler: all pages may be set aside", Folder + "ReplicaScheduler.Handover.cs",
            " - KvPage.Count(_limits.ContextMax);",
            ";",
            Killer.Of<FairnessTests>()),
        new("scheduler: adopted sequences may exceed the batch", Folder + "ReplicaScheduler.Handover.cs",
            "if (state.Pages.IsEmpty || sequence.NeedsScores || _running.Count >= _limits.SequencesMax) return;",
            "if (state.Pages.IsEmpty || sequence.NeedsScores) return;",
            Killer.Of<AdoptionTests>()),
        new("scheduler: a page that is set aside is given to others", Folder + "PageAllocator.cs",
            """
                    foreach (var page in pages)
                    {
                        _free.Remove(page);
                        _users[page] = Aside;
                    }
            """,
            """
                    foreach (var page in pages)
                    {
                        _users[page] = Aside;
                    }
            """,
            Killer.Of<PageAllocatorTests>(), Killer.Of<FairnessTests>()),
    ];
}
