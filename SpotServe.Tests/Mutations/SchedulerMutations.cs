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
            while (_waiting.First is { } sequence && _running.Count < _limits.SequencesMax && tokens < tokensMax)
                    {
                        var needed = KvPage.Count(sequence.TokenCount);
                        // Strictly in order: a short one that slipped past a long one could keep it out for ever.
                        if (needed + HeldBackPages() > _pages.FreeCount) return;
            """,
            """
            var next = _waiting.First;
                    while (next is { } sequence && _running.Count < _limits.SequencesMax && tokens < tokensMax)
                    {
                        next = sequence.Next;
                        var needed = KvPage.Count(sequence.TokenCount);
                        if (needed + HeldBackPages() > _pages.FreeCount) continue;
            """,
            Killer.Of<FairnessTests>()),
        new("scheduler: only the second in the queue may slip past the first", Folder + "ReplicaScheduler.Planning.cs",
            """
                        if (needed + HeldBackPages() > _pages.FreeCount) return;
                        Invariant.Holds(sequence.PageList.Count == 0);
            """,
            """
                        if (needed + HeldBackPages() > _pages.FreeCount)
                        {
                            if (sequence.Next is not { TokenCount: < 16 } other || _pages.FreeCount < 2) return;
                            _waiting.Remove(sequence);
                            _waiting.Remove(other);
                            _waiting.AddLast(sequence);
                            _waiting.AddBySeniority(other);
                            return;
                        }

                        Invariant.Holds(sequence.PageList.Count == 0);
            """,
            Killer.Of<FairnessTests>(), Killer.Of<SchedulerPropertyTests>()),
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
            "            sequence.Residence++;\n",
            "",
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
        new("scheduler: new requests come before continued ones", Folder + "Sequence.cs",
            "SubmittedCount > other.SubmittedCount : Ticket",
            "SubmittedCount < other.SubmittedCount : Ticket",
            Killer.Of<ReplicaSchedulerTests>()),
        new("scheduler: all pages may be set aside", Folder + "ReplicaScheduler.Handover.cs",
            " - KvPage.Count(_limits.ContextMax);",
            ";",
            Killer.Of<FairnessTests>()),
        new("scheduler: adopted sequences may exceed the batch", Folder + "ReplicaScheduler.Handover.cs",
            "if (state.Pages.IsEmpty || _running.Count >= _limits.SequencesMax) return;",
            "if (state.Pages.IsEmpty) return;",
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
