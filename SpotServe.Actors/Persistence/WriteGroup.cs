using System.Collections.Immutable;
using Akka.Actor;
using Akka.Persistence;

namespace SpotServe.Actors.Persistence;

/// <summary>Entities whose events go in one write.</summary>
internal sealed class WriteGroup(ImmutableArray<EntityWrite> writes)
{
    /// <summary>Those that are not answered yet, in the order of their coming.</summary>
    public ImmutableArray<EntityWrite> Writes { get; set; } = writes;
}

/// <summary>What one entity asked the journal to write, and how it is answered: as Akka's journal answers, in the order
/// of the events.</summary>
/// <param name="atomic">The events of <paramref name="asked"/> as they are stored.</param>
internal sealed class EntityWrite(WriteMessages asked, ImmutableArray<AtomicWrite> atomic)
{
    private readonly TaskCompletionSource _answered = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes once the entity is answered, whatever became of its write.</summary>
    public Task Answered => _answered.Task;

    public ImmutableArray<AtomicWrite> Atomic { get; } = atomic;

    public int Events { get; } = atomic.Sum(one => one.Size);

    public bool IsOf(string persistenceId) => !Atomic.IsEmpty && Atomic[0].PersistenceId == persistenceId;

    /// <param name="rejections">One for each atomic write of the group: why it has no stored form, or null. Null where
    /// all were written.</param>
    /// <param name="first">Where this entity's begin in them.</param>
    /// <returns>How many are this entity's.</returns>
    public int Succeed(IReadOnlyList<Exception?>? rejections, int first, IActorRef journal)
    {
        asked.PersistentActor.Tell(WriteMessagesSuccessful.Instance, journal);
        var next = first;
        foreach (var one in asked.Messages)
        {
            if (one is not AtomicWrite events)
            {
                asked.PersistentActor.Tell(new LoopMessageSuccess(one.Payload, asked.ActorInstanceId), one.Sender);
                continue;
            }

            var rejection = rejections?[next++];
            foreach (var written in (IEnumerable<IPersistentRepresentation>)events.Payload)
            {
                asked.PersistentActor.Tell(
                    rejection is null
                        ? new WriteMessageSuccess(written, asked.ActorInstanceId)
                        : new WriteMessageRejected(written, rejection, asked.ActorInstanceId),
                    written.Sender);
            }
        }

        _answered.SetResult();
        return next - first;
    }

    public void Fail(Exception error, IActorRef journal)
    {
        asked.PersistentActor.Tell(new WriteMessagesFailed(error, Atomic.Length), journal);
        foreach (var one in asked.Messages)
        {
            if (one is not AtomicWrite events)
            {
                asked.PersistentActor.Tell(new LoopMessageSuccess(one.Payload, asked.ActorInstanceId), one.Sender);
                continue;
            }

            foreach (var written in (IEnumerable<IPersistentRepresentation>)events.Payload)
            {
                asked.PersistentActor.Tell(
                    new WriteMessageFailure(written, error, asked.ActorInstanceId), written.Sender);
            }
        }

        _answered.SetResult();
    }
}
