using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Replica;

/// <summary>The conversation between a replica and those that place it: its parent and the planner.</summary>
public static class ReplicaControlProtocol
{
    public interface IMessage
    {
        Epoch Epoch { get; }
    }

    public interface ICommand : IMessage;

    public interface IEvent : IMessage;

    /// <summary>Stop at a token boundary: steps in flight complete, no new one starts. Idempotent; answered by
    /// <see cref="Drained"/>, or by <see cref="ReplicaLost"/> if that happens first.</summary>
    public sealed record Drain(Epoch Epoch) : ICommand;

    /// <summary>Answered by <see cref="ReplicaLoad"/>, or by <see cref="ReplicaLost"/>.</summary>
    public sealed record GetReplicaLoad(Epoch Epoch) : ICommand;

    /// <summary>Answered by <see cref="ReplicaCacheReport"/>, or by <see cref="ReplicaLost"/>.</summary>
    public sealed record GetReplicaCache(Epoch Epoch) : ICommand;

    /// <summary>The sequences that have pages now.</summary>
    public sealed record ReplicaCacheReport(
        Epoch Epoch, int Replica, ImmutableArray<CachedRequest> Requests) : IEvent;

    /// <summary>No step runs any more, and none will in this epoch.</summary>
    public sealed record Drained(Epoch Epoch, int Replica) : IEvent;

    /// <summary>What the replica does at this moment. Its parent gets it every second.</summary>
    /// <param name="Queued">Requests without pages, suspended ones included.</param>
    /// <param name="Running">Requests with pages.</param>
    /// <param name="SequencesMax">Most that can run at once.</param>
    /// <param name="Steps">Steps planned since the epoch began.</param>
    /// <param name="TokensGenerated">Tokens drawn since the epoch began.</param>
    /// <param name="Suspensions">Times that a request had to give its pages up since the epoch began.</param>
    public sealed record ReplicaLoad(
        Epoch Epoch,
        int Replica,
        int Queued,
        int Running,
        int SequencesMax,
        int FreePages,
        int PageCount,
        long Steps,
        long TokensGenerated,
        long Suspensions) : IEvent
    {
        /// <summary>Time that requests ran, added up over all of them, since the epoch began. Over
        /// <see cref="TokensGenerated"/> it is what a token takes, however often the replica was idle.</summary>
        public TimeSpan SequenceTime { get; init; }

        /// <summary>Time in which at least one ran, since the epoch began.</summary>
        public TimeSpan BusyTime { get; init; }

        /// <summary>Tokens computed although they had been in a cache before, since the epoch began.</summary>
        public long TokensRecomputed { get; init; }

        /// <summary>Tokens of requests that were looked for among kept pages, since the epoch began.</summary>
        public long PrefixQueries { get; init; }

        /// <summary>Tokens that kept pages spared, since the epoch began.</summary>
        public long PrefixHits { get; init; }

        /// <summary>Pages, of those that are free, that still hold what a prompt may begin with.</summary>
        public int KeptPages { get; init; }

        /// <summary>Requests that came after they had lost the replica that ran them, by the epoch in which they lost
        /// it: the latest few epochs. Sums since the epoch began, so that a lost or doubled report changes
        /// nothing.</summary>
        public ImmutableArray<ResumedRequests> Resumed { get; init; } = [];
    }

    /// <param name="LostIn">Epoch of the replica that was lost; <see cref="Epoch.None"/> where nobody knows.</param>
    /// <param name="Resumed">Those that have drawn a token here.</param>
    /// <param name="Tokens">Tokens of theirs, prompts included, that were computed again for that.</param>
    /// <param name="Waiting">Those that came and have drawn none yet.</param>
    public sealed record ResumedRequests(Epoch LostIn, int Resumed, long Tokens, int Waiting);

    /// <summary>The pipeline is gone and with it every page. The requests' senders were told <c>Rejected</c>.</summary>
    public sealed record ReplicaLost(Epoch Epoch, int Replica, string Reason) : IEvent;
}
