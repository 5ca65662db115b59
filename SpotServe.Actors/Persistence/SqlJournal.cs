using System.Collections.Immutable;
using System.Diagnostics;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Persistence;
using Akka.Persistence.Journal;

namespace SpotServe.Actors.Persistence;

/// <summary>Tells the journal's actor where its rows are, which Akka's settings do not.</summary>
internal sealed class JournalSetup(JournalOptions options) : Setup
{
    public JournalOptions Options { get; } = options;
}

/// <summary>
/// Akka's journal in SQLite or PostgreSQL (docs/adr/0121). Writes go straight to a <see cref="JournalWriter"/>, which
/// answers their entities itself: Akka's own way puts a breaker with a timer and two more actors behind each. An entry
/// that cannot be read fails no recovery: its entity gets a <see cref="DamagedEntry"/> in its place and decides. One
/// actor, named in hocon.
/// </summary>
internal sealed class SqlJournal : AsyncWriteJournal
{
    /// <summary>Of one entity. Whoever has more has lost the disk, not an entry.</summary>
    private const int DamagedMax = 100;

    private readonly Akka.Serialization.Serialization _serialization = Context.System.Serialization;
    private readonly TimeProvider _clock = TimeProvider.System;
    private readonly JournalRows _rows;
    private readonly JournalWriter _writer;

    public SqlJournal()
    {
        var setup = Context.System.Settings.Setup.Get<JournalSetup>();
        Invariant.Holds(setup.HasValue);
        var options = setup.Value.Options;
        _rows = new JournalRows(options);
        _writer = new JournalWriter(
            options.IsSqlite ? new SqliteJournalStore(options) : new PostgresJournalStore(options));
    }

    /// <inheritdoc/>
    public override Task ReplayMessagesAsync(
        IActorContext context,
        string persistenceId,
        long fromSequenceNr,
        long toSequenceNr,
        long max,
        Action<IPersistentRepresentation> recoveryCallback)
    {
        var damaged = 0;
        return _rows.ReadAsync(persistenceId, fromSequenceNr, toSequenceNr, max, row =>
        {
            object happened;
            try
            {
                happened = Read(row);
            }
            catch (Exception error) when (damaged < DamagedMax && JournalHealth.DamageIn(error) is not null)
            {
                damaged++;
                happened = new DamagedEntry(persistenceId, row.SequenceNumber, JournalHealth.DamageIn(error)!);
            }

            recoveryCallback(new Persistent(
                happened, row.SequenceNumber, persistenceId, row.Manifest, isDeleted: false, ActorRefs.NoSender,
                row.Writer, row.Created));
        });
    }

    /// <inheritdoc/>
    public override async Task<long> ReadHighestSequenceNrAsync(
        string persistenceId, long fromSequenceNr, CancellationToken cancellationToken)
    {
        // An entity that comes back may find its former self's last write still on its way.
        await _writer.WhenDoneFor(persistenceId).WaitAsync(cancellationToken).ConfigureAwait(false);
        return await _rows.HighestAsync(persistenceId).ConfigureAwait(false);
    }

    protected override void PostStop()
    {
        _writer.Dispose();
        base.PostStop();
    }

    protected override bool AroundReceive(Receive receive, object message)
    {
        if (message is not WriteMessages write) return base.AroundReceive(receive, message);
        _writer.Give(EventWrite.Of(write, _serialization, _clock.GetUtcNow().UtcTicks, Self));
        return true;
    }

    /// <inheritdoc/>
    protected override Task<IImmutableList<Exception>> WriteMessagesAsync(
        IEnumerable<AtomicWrite> messages, CancellationToken cancellationToken) =>
        throw new UnreachableException("writes go another way");

    /// <inheritdoc/>
    protected override Task DeleteMessagesToAsync(
        string persistenceId, long toSequenceNr, CancellationToken cancellationToken)
    {
        var deletion = new Deletion(persistenceId, toSequenceNr);
        _writer.Give(deletion);
        return deletion.Done;
    }

    private object Read(FoundRow row) => row is { Manifest: { } manifest, Serializer: { } serializer }
        ? _serialization.Deserialize(row.Content, serializer, manifest)
        : throw new JournalFormatException("A journal entry does not say what it is.");

    private sealed class Deletion(string persistenceId, long last) : JournalWork(persistenceId)
    {
        private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Done => _done.Task;

        public override void Do(IJournalStore store) => store.Delete(PersistenceId, last);

        public override void Tell(Exception? error)
        {
            if (error is null) _done.SetResult();
            else _done.SetException(error);
        }
    }
}

/// <summary>What an entity wants written, and how it is answered: as Akka's protocol of journals has it.</summary>
internal sealed class EventWrite : JournalWork
{
    private readonly WriteMessages _write;
    private readonly IActorRef _journal;
    private readonly List<JournalRow> _rows;
    private readonly Exception? _rejection;

    private EventWrite(WriteMessages write, string id, List<JournalRow> rows, Exception? rejection, IActorRef journal)
        : base(id) => (_write, _rows, _rejection, _journal) = (write, rows, rejection, journal);

    public override IReadOnlyList<JournalRow> Rows => _rows;

    public static EventWrite Of(
        WriteMessages write, Akka.Serialization.Serialization serialization, long now, IActorRef journal)
    {
        var (id, rows) = ("", new List<JournalRow>(2));
        try
        {
            foreach (var envelope in write.Messages)
            {
                if (envelope is not AtomicWrite atomic) continue;
                id = atomic.PersistenceId;
                foreach (var written in (IEnumerable<IPersistentRepresentation>)atomic.Payload)
                    rows.Add(RowOf(written, serialization, now));
            }

            return new EventWrite(write, id, rows, rejection: null, journal);
        }
        catch (Exception error) when (JournalHealth.DamageIn(error) is not null)
        {
            return new EventWrite(write, id, [], error, journal);
        }
    }

    public override void Tell(Exception? error)
    {
        var to = _write.PersistentActor;
        var atomicWrites = 0;
        foreach (var envelope in _write.Messages)
            if (envelope is AtomicWrite) atomicWrites++;
        to.Tell(
            error is null ? WriteMessagesSuccessful.Instance : new WriteMessagesFailed(error, atomicWrites), _journal);
        foreach (var envelope in _write.Messages)
        {
            if (envelope is not AtomicWrite atomic)
            {
                to.Tell(new LoopMessageSuccess(envelope.Payload, _write.ActorInstanceId), envelope.Sender);
                continue;
            }

            foreach (var written in (IEnumerable<IPersistentRepresentation>)atomic.Payload)
                to.Tell(AnswerTo(written, error), written.Sender);
        }
    }

    private object AnswerTo(IPersistentRepresentation written, Exception? error) =>
        error is not null ? new WriteMessageFailure(written, error, _write.ActorInstanceId)
        : _rejection is not null ? new WriteMessageRejected(written, _rejection, _write.ActorInstanceId)
        : new WriteMessageSuccess(written, _write.ActorInstanceId);

    private static JournalRow RowOf(
        IPersistentRepresentation written, Akka.Serialization.Serialization serialization, long now)
    {
        var serializer = serialization.FindSerializerFor(written.Payload);
        var manifest = Akka.Serialization.Serialization.ManifestFor(serializer, written.Payload);
        return new JournalRow(
            written.PersistenceId, written.SequenceNr, written.Timestamp > 0 ? written.Timestamp : now,
            serializer.ToBinary(written.Payload), manifest, serializer.Identifier, written.WriterGuid);
    }
}
