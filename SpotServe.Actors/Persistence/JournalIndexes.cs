using System.Data.Common;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// Akka keeps an index of all sequence numbers, and what is looked for by it are first events alone
/// (<see cref="RequestJournal"/>). Of 64 requests that each write an event, a third of all that SQLite writes is that
/// index. So it is made anew of first events alone, once in a database's life and under Akka's name: Akka makes none
/// where one of that name is.
/// </summary>
internal static class JournalIndexes
{
    private const string Name = "journal_sequence_number_idx";

    /// <summary>Whoever writes waits meanwhile, and no longer than this on PostgreSQL for a lock.</summary>
    private const string LockMax = "SET LOCAL lock_timeout = '5s'";

    /// <summary>Does nothing where that was done before, or where the tables have no such index.</summary>
    /// <exception cref="DbException">The database does not let this user do it, or others hold it up.</exception>
    public static async Task OfFirstEventsAsync(JournalOptions options, CancellationToken cancel)
    {
        await using var connection = await JournalSweeper.OpenAsync(options, cancel).ConfigureAwait(false);
        await using var find = connection.CreateCommand();
        find.CommandText = options.IsSqlite
            ? "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = @name"
            : "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() AND indexname = @name";
        JournalSweeper.Add(find, "name", Name);
        if (await find.ExecuteScalarAsync(cancel).ConfigureAwait(false) is not string definition) return;
        if (definition.Contains(" WHERE ", StringComparison.OrdinalIgnoreCase)) return;
        await using var transaction = await connection.BeginTransactionAsync(cancel).ConfigureAwait(false);
        string[] statements =
        [
            .. options.IsSqlite ? [] : new[] { LockMax },
            $"DROP INDEX IF EXISTS {Name}",
            $"CREATE INDEX {Name} ON journal (sequence_number) WHERE sequence_number = 1",
        ];
        foreach (var statement in statements)
        {
            await using var command = connection.CreateCommand();
            command.Transaction = transaction;
            command.CommandText = statement;
            await command.ExecuteNonQueryAsync(cancel).ConfigureAwait(false);
        }

        await transaction.CommitAsync(cancel).ConfigureAwait(false);
    }
}
