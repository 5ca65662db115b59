using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Configuration;
using Akka.Persistence;
using Akka.Persistence.Sql.Journal;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// Akka's SQL journal, with three things that many entities in one table need. It takes each entity's write by itself:
/// here what comes together is written together. If one row of a transaction is refused, because another incarnation
/// of its entity wrote it, all fail: here those that are not to blame are written again. And it fails a whole recovery
/// for one entry that cannot be read: here the entity gets a <see cref="DamagedEntry"/> in its place and decides. One
/// actor, named in hocon.
/// </summary>
internal sealed partial class SqlJournal(Config config) : SqlWriteJournal(config)
{
    /// <summary>Of one entity. Whoever has more has lost the disk, not an entry.</summary>
    private const int DamagedMax = 100;

    private readonly IActorRef _self = Context.Self;

    private readonly JournalRows? _rows =
        Context.System.Settings.Setup.Get<JournalSetup>() is { HasValue: true, Value: var setup }
            ? new JournalRows(setup.Options)
            : null;

    private JournalRows Rows => _rows ?? throw new InvariantException("the journal has a JournalSetup");

    /// <inheritdoc/>
    public override async Task ReplayMessagesAsync(
        IActorContext context,
        string persistenceId,
        long fromSequenceNr,
        long toSequenceNr,
        long max,
        Action<IPersistentRepresentation> recoveryCallback)
    {
        var last = fromSequenceNr - 1;
        // Of the entry before, because Akka drops what a former writer wrote after a new one began.
        var writer = "";
        try
        {
            await base.ReplayMessagesAsync(context, persistenceId, fromSequenceNr, toSequenceNr, max, Give)
                .ConfigureAwait(false);
        }
        catch (Exception error) when (JournalHealth.DamageIn(error) is not null)
        {
            // Some before it may have been read and not given.
            var damaged = 0;
            await ReplayAroundAsync(last + 1, toSequenceNr).ConfigureAwait(false);

            async Task ReplayAroundAsync(long from, long to)
            {
                if (await Rows.RangeAsync(persistenceId, from, to).ConfigureAwait(false) is not { } rows) return;
                var (first, final) = rows;
                var read = new List<IPersistentRepresentation>();
                try
                {
                    await base.ReplayMessagesAsync(context, persistenceId, first, final, long.MaxValue, read.Add)
                        .ConfigureAwait(false);
                    read.ForEach(Give);
                }
                catch (Exception cause) when (JournalHealth.DamageIn(cause) is not null)
                {
                    if (first == final)
                    {
                        if (++damaged > DamagedMax) throw;
                        Give(new Persistent(
                            new DamagedEntry(persistenceId, first, JournalHealth.DamageIn(cause)!), first,
                            persistenceId, manifest: "", isDeleted: false, ActorRefs.NoSender, writer));
                        return;
                    }

                    var middle = first + ((final - first) / 2);
                    await ReplayAroundAsync(first, middle).ConfigureAwait(false);
                    await ReplayAroundAsync(middle + 1, final).ConfigureAwait(false);
                }
            }
        }

        void Give(IPersistentRepresentation entry)
        {
            (last, writer) = (entry.SequenceNr, entry.WriterGuid);
            recoveryCallback(entry);
        }
    }
}

/// <summary>Tells the journal's actor where its rows are, which Akka's settings do not.</summary>
internal sealed class JournalSetup(JournalOptions options) : Setup
{
    public JournalOptions Options { get; } = options;
}

/// <summary>Looks at single rows of the journal. Thread-safe: each call has a connection of its own.</summary>
internal sealed class JournalRows(JournalOptions options)
{
    /// <summary>The lowest and the highest sequence number that an entity has from one to another; null when it has
    /// none.</summary>
    // Microsoft.Data.Sqlite's asynchronous calls are synchronous: they belong on a thread of the pool.
    public Task<(long First, long Last)?> RangeAsync(string persistenceId, long from, long to) =>
        Task.Run<(long, long)?>(async () =>
        {
            await using var connection = await JournalSweeper.OpenAsync(options, CancellationToken.None)
                .ConfigureAwait(false);
            await using var command = connection.CreateCommand();
            command.CommandText =
                """
                SELECT MIN(sequence_number), MAX(sequence_number) FROM journal
                WHERE persistence_id = @id AND sequence_number >= @from AND sequence_number <= @to
                  AND deleted = @deleted
                """;
            JournalSweeper.Add(command, "id", persistenceId);
            JournalSweeper.Add(command, "from", from);
            JournalSweeper.Add(command, "to", to);
            JournalSweeper.Add(command, "deleted", false);
            await using var rows = await command.ExecuteReaderAsync().ConfigureAwait(false);
            return await rows.ReadAsync().ConfigureAwait(false) && !rows.IsDBNull(0)
                ? (rows.GetInt64(0), rows.GetInt64(1))
                : null;
        });
}
