using System.Data.Common;

namespace SpotServe.Actors.Persistence;

/// <summary>A row as it is read: what is missing in it is null.</summary>
internal readonly record struct FoundRow(
    long SequenceNumber, long Created, byte[] Content, string? Manifest, int? Serializer, string Writer);

/// <summary>Reads the journal's table. Thread-safe: each call has a connection of its own.</summary>
internal sealed class JournalRows(JournalOptions options)
{
    /// <summary>The highest sequence number that an entity ever wrote; 0 when it never did.</summary>
    // Microsoft.Data.Sqlite's asynchronous calls are synchronous: they belong on a thread of the pool.
    public Task<long> HighestAsync(string persistenceId) => Task.Run(async () =>
    {
        await using var connection = await JournalSweeper.OpenAsync(options, CancellationToken.None)
            .ConfigureAwait(false);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT MAX(sequence_number) FROM journal WHERE persistence_id = @id";
        JournalSweeper.Add(command, "id", persistenceId);
        return await command.ExecuteScalarAsync().ConfigureAwait(false) is long highest ? highest : 0;
    });

    /// <summary>Gives an entity's events in order, from one sequence number to another.</summary>
    public Task ReadAsync(string persistenceId, long from, long to, long max, Action<FoundRow> give) => Task.Run(
        async () =>
        {
            await using var connection = await JournalSweeper.OpenAsync(options, CancellationToken.None)
                .ConfigureAwait(false);
            await using var command = connection.CreateCommand();
            command.CommandText =
                """
                SELECT sequence_number, created, message, manifest, identifier, writer_uuid FROM journal
                WHERE persistence_id = @id AND sequence_number >= @from AND sequence_number <= @to
                  AND deleted = @deleted
                ORDER BY sequence_number LIMIT @max
                """;
            JournalSweeper.Add(command, "id", persistenceId);
            JournalSweeper.Add(command, "from", from);
            JournalSweeper.Add(command, "to", to);
            JournalSweeper.Add(command, "deleted", false);
            JournalSweeper.Add(command, "max", max);
            await using var rows = await command.ExecuteReaderAsync().ConfigureAwait(false);
            while (await rows.ReadAsync().ConfigureAwait(false)) give(RowOf(rows));
        });

    private static FoundRow RowOf(DbDataReader row) => new(
        row.GetInt64(0),
        row.GetInt64(1),
        row.GetFieldValue<byte[]>(2),
        row.IsDBNull(3) ? null : row.GetString(3),
        row.IsDBNull(4) ? null : row.GetInt32(4),
        row.IsDBNull(5) ? "" : row.GetString(5));
}
