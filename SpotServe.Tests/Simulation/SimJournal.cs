using System.Collections.Immutable;
using Akka.Actor;
using Akka.Persistence;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Requests;

namespace SpotServe.Tests.Simulation;

/// <summary>What lies on disk: survives every process.</summary>
internal sealed class SimDatabase : IRequestJournal
{
    private readonly Dictionary<string, List<IPersistentRepresentation>> _events = [];

    public IReadOnlyList<IPersistentRepresentation> Of(string id) => _events.GetValueOrDefault(id) ?? [];

    /// <summary>Tokens of a request that are on disk.</summary>
    public int CommittedTokens(RequestId id) => Of(RequestJournal.IdPrefix + id.Value)
        .Sum(entry => entry.Payload is RequestEvents.TokensCommitted committed ? committed.Tokens.Length : 0);

    /// <returns>False when another has written there before, and that was not deleted: the entry's writer has been
    /// replaced.</returns>
    public bool TryWrite(IPersistentRepresentation entry)
    {
        if (!_events.TryGetValue(entry.PersistenceId, out var list)) _events[entry.PersistenceId] = list = [];
        var at = list.FindIndex(other => other.SequenceNr >= entry.SequenceNr);
        if (at >= 0 && list[at].SequenceNr == entry.SequenceNr) return false;
        list.Insert(at < 0 ? list.Count : at, entry);
        return true;
    }

    public void Delete(string id, long to)
    {
        if (!_events.TryGetValue(id, out var list)) return;
        list.RemoveAll(entry => entry.SequenceNr <= to);
        if (list.Count == 0) _events.Remove(id);
    }

    public Task<ImmutableArray<RequestId>> FindOpenAsync(int max, CancellationToken cancel)
    {
        ImmutableArray<RequestId> open =
        [
            .. _events
                .Where(entry => entry.Key.StartsWith(RequestJournal.IdPrefix, StringComparison.Ordinal)
                    && entry.Value.Count > 0 && entry.Value[^1].Payload is not RequestEvents.RequestFinished)
                .Select(entry => new RequestId(entry.Key[RequestJournal.IdPrefix.Length..]))
                .Take(max),
        ];
        return Task.FromResult(open);
    }

    public Task<bool> SweepAsync(DateTimeOffset before, CancellationToken cancel) => Task.FromResult(false);
}

/// <summary>A journal on the world's database. A write takes a moment; its writer may be dead by then.</summary>
public sealed class SimJournal : ReceiveActor
{
    public SimJournal()
    {
        var world = SimWorld.Current;
        Receive<WriteMessages>(write => world.After(world.Between(0.0002, 0.003), () => Write(world, write)));
        Receive<ReplayMessages>(replay =>
        {
            var found = world.Database.Of(replay.PersistenceId);
            foreach (var entry in found.Where(entry =>
                entry.SequenceNr >= replay.FromSequenceNr && entry.SequenceNr <= replay.ToSequenceNr))
            {
                replay.PersistentActor.Tell(new ReplayedMessage(entry), ActorRefs.NoSender);
            }

            replay.PersistentActor.Tell(
                new RecoverySuccess(found.Count == 0 ? 0 : found[^1].SequenceNr), ActorRefs.NoSender);
        });
        Receive<DeleteMessagesTo>(delete =>
        {
            world.Database.Delete(delete.PersistenceId, delete.ToSequenceNr);
            delete.PersistentActor.Tell(new DeleteMessagesSuccess(delete.ToSequenceNr), ActorRefs.NoSender);
        });
    }

    private static void Write(SimWorld world, WriteMessages write)
    {
        if (world.ProcessOf(write.PersistentActor) is { IsDead: true } && world.Chance(0.5)) return;
        var entries = write.Messages.OfType<AtomicWrite>()
            .SelectMany(atomic => (IEnumerable<IPersistentRepresentation>)atomic.Payload).ToArray();
        var failure = entries.All(world.Database.TryWrite) ? null : new DuplicateEntryException(entries[0]);
        write.PersistentActor.Tell(
            failure is null ? WriteMessagesSuccessful.Instance : new WriteMessagesFailed(failure, entries.Length),
            ActorRefs.NoSender);
        foreach (var entry in entries)
        {
            write.PersistentActor.Tell(
                failure is null
                    ? new WriteMessageSuccess(entry, write.ActorInstanceId)
                    : new WriteMessageFailure(entry, failure, write.ActorInstanceId),
                ActorRefs.NoSender);
        }
    }

    private sealed class DuplicateEntryException(IPersistentRepresentation entry)
        : Exception($"{entry.PersistenceId} has an entry {entry.SequenceNr} already.");
}

/// <summary>There are no snapshots.</summary>
public sealed class SimSnapshots : ReceiveActor
{
    public SimSnapshots() => Receive<LoadSnapshot>(load =>
        Sender.Tell(new LoadSnapshotResult(null, load.ToSequenceNr), ActorRefs.NoSender));
}
