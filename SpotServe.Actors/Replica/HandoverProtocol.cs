using System.Collections.Immutable;
using Akka.Actor;

namespace SpotServe.Actors.Replica;

/// <summary>
/// How sequences go from the replicas of one epoch to those of the next without being computed again. While the old
/// replica still decodes, full pages are copied in rounds; after its last step the rest follows, with the sequences'
/// state, and the new replica goes on. Page ids of the new replica are those of its home, the old replica that most of
/// its sequences come from: pages of home sequences keep their ids, and the home sets ids aside for all others.
/// </summary>
internal static class HandoverProtocol
{
    /// <summary>Carries the old replica's epoch or the new one's, whoever receives it checks its own.</summary>
    public interface IMessage
    {
        Epoch Epoch { get; }
    }

    // Planner to old replica, which answers HandoverReady once what is left is small, and again at the drain.

    /// <summary>Begin to hand over; idempotent for the same <paramref name="NewEpoch"/>, a newer one replaces it. An
    /// ordinary <see cref="ReplicaControlProtocol.Drain"/> then ends it with the tail.</summary>
    /// <param name="Epoch">Of the old replica.</param>
    /// <param name="Targets">Each request goes to the target that lists it; one that none lists (it came later) goes to
    /// the first.</param>
    public sealed record BeginHandover(Epoch Epoch, Epoch NewEpoch, ImmutableArray<HandoverTarget> Targets) : IMessage;

    /// <param name="Leader">The new replica's actor.</param>
    /// <param name="IsHome">Page ids stay as they are, as far as they are below <paramref name="PageCount"/>.</param>
    /// <param name="PageCount">Pages of the new replica.</param>
    /// <param name="ReservedPages">For a home: ids to set aside for sequences from elsewhere, as many as are
    /// free.</param>
    public sealed record HandoverTarget(
        int NewReplica,
        IActorRef Leader,
        ImmutableArray<RequestId> Requests,
        bool IsHome,
        int PageCount,
        int ReservedPages);

    /// <summary>The change that the handover was for is off, and so is any before it: set-aside pages are free again,
    /// decoding goes on.</summary>
    public sealed record CancelHandover(Epoch Epoch, Epoch NewEpoch) : IMessage;

    /// <summary>Old replica to planner: full pages are over, but for what decoding adds.</summary>
    public sealed record HandoverReady(Epoch Epoch, int Replica, Epoch NewEpoch) : IMessage;

    // Old replica to new replica.

    /// <summary>First message to each target.</summary>
    /// <param name="Reserved">From the home: page ids that sequences from elsewhere may take.</param>
    public sealed record HandoverOpened(
        Epoch Epoch, int OldReplica, bool IsHome, ImmutableArray<int> Reserved) : IMessage;

    /// <summary>Full pages that the new replica can copy now; answered by <see cref="PagesTaken"/>. A large round comes
    /// in several messages, each a round of its own.</summary>
    public sealed record PagesReady(
        Epoch Epoch, int OldReplica, int Round, ImmutableArray<SequencePages> Sequences) : IMessage;

    /// <param name="FirstIndex">Index in the sequence's page table of the first page here.</param>
    /// <param name="Pages">The old replica's ids.</param>
    public sealed record SequencePages(RequestId Id, int FirstIndex, ImmutableArray<int> Pages)
    {
        /// <summary>Which of the sequence's stays in pages these belong to: it may lose them and get others, and the
        /// message that said so may be lost.</summary>
        public int Residence { get; init; }

        /// <summary>One number for each page, of the old replica: two sequences that name a page by the same number
        /// share it, and it is brought once.</summary>
        public ImmutableArray<long> Births { get; init; } = [];
    }

    public sealed record PagesTaken(Epoch Epoch, int OldReplica, int Round) : IMessage;

    /// <summary>After the last step: sequences as they are. The last message of a handover says so.</summary>
    public sealed record SequencesHandedOver(
        Epoch Epoch, int OldReplica, ImmutableArray<HandedSequence> Sequences, bool IsLast) : IMessage
    {
        /// <summary>With the last message; null before.</summary>
        public HandoverTotal? Total { get; init; }
    }

    /// <summary>What the old replica had for the new one. What of it did not come is computed anew.</summary>
    /// <param name="CachedTokens">Tokens of all these sequences that were in pages.</param>
    public sealed record HandoverTotal(int Sequences, long CachedTokens);

    /// <param name="Generated">All generated tokens, committed or not.</param>
    /// <param name="CachedTokens">Tokens, prompt included, whose keys and values are in pages.</param>
    /// <param name="FirstIndex">Index in the page table of the first page that was not in a
    /// <see cref="PagesReady"/>.</param>
    /// <param name="Pages">Page ids from there on that hold cached tokens.</param>
    /// <param name="Subscriber">Who hears of its tokens: they simply go on, from the new epoch.</param>
    public sealed record HandedSequence(
        RequestId Id,
        GenerationSpec Spec,
        ImmutableArray<int> Generated,
        int CachedTokens,
        int FirstIndex,
        ImmutableArray<int> Pages,
        IActorRef? Subscriber)
    {
        /// <summary>As of <see cref="ReplicaProtocol.Submit.Gateway"/>.</summary>
        public IActorRef? Gateway { get; init; }

        /// <summary>As of <see cref="SequencePages"/>.</summary>
        public int Residence { get; init; }

        /// <summary>As of <see cref="SequencePages"/>.</summary>
        public ImmutableArray<long> Births { get; init; } = [];

        /// <summary>How many of its first pages the old replica kept for all prompts that begin alike.</summary>
        public int KeptPages { get; init; }

        /// <summary>Of the last so many generated tokens, where the request wants them.</summary>
        public ImmutableArray<TokenLogprobs> Logprobs { get; init; } = [];

        /// <summary>As of <see cref="GenerationRequest.RunsAlone"/>: a request that may be the cause of losses does not
        /// come among others because one of them has moved it.</summary>
        public bool RunsAlone { get; init; }
    }

    // New replica and its parent, which has every device of the replica do it.

    /// <summary>Copy pages of an old replica to ids of this one, on every device of this replica, except where they
    /// stay in place. Answered by <see cref="PagesCopied"/> or <see cref="PagesLost"/>.</summary>
    /// <param name="Urgent">Nothing is served meanwhile.</param>
    public sealed record CopyPages(
        Epoch Epoch,
        long Job,
        int OldReplica,
        ImmutableArray<int> From,
        ImmutableArray<int> To,
        bool Urgent) : IMessage;

    public sealed record PagesCopied(Epoch Epoch, long Job, long Bytes) : IMessage;

    /// <summary>Nobody waits for the copies that run: they end as soon as nothing writes to their pages, each with its
    /// answer.</summary>
    public sealed record CancelCopies(Epoch Epoch) : IMessage;

    /// <summary>Those pages cannot be had any more, and nothing writes to where they were to be; their sequences are
    /// computed anew from their tokens.</summary>
    public sealed record PagesLost(Epoch Epoch, long Job, string Reason) : IMessage;

    // Planner and new replica.

    /// <summary>Wait no longer for old replicas that have not handed over: serve with what is here. The first of these
    /// makes the replica serve; repeated ones are answered again.</summary>
    /// <param name="HomeMayCome">The home is not known to be lost. Until it has handed over it may write to pages that
    /// are shared with it, so that it is waited for: the next of these comes soon.</param>
    public sealed record ServeNow(Epoch Epoch, bool HomeMayCome) : IMessage;

    /// <summary>New replica to its parent: it serves.</summary>
    /// <param name="Sequences">Sequences that it took over.</param>
    /// <param name="NotHandedOver">Sequences that old replicas had for it and that did not come.</param>
    /// <param name="TokensRecomputed">Tokens, of those that it took over, that were in a cache and have to be computed
    /// anew.</param>
    /// <param name="Bytes">Bytes of pages that were copied.</param>
    public sealed record ReplicaServes(
        Epoch Epoch, int Replica, int Sequences, int NotHandedOver, long TokensRecomputed, long Bytes) : IMessage;
}
