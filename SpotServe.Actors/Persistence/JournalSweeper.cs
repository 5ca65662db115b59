using System.Data.Common;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// Keeps the journal from growing without end. Akka's DeleteMessages keeps the last row of each persistence id, marked
/// as deleted, so that the id's sequence numbers go on from there. Request ids are never used again: their tombstones
/// can go. So can whole requests that have ended and whose entity was not there to delete them.
/// </summary>
internal static class JournalSweeper
{
    /// <summary>Rows that one sweep removes at most: it holds the database's write lock on SQLite.</summary>
    public const int SweptMax = 10_000;

    /// <summary>Ended requests that are removed at once at most, each with all its rows.</summary>
    public const int ForgottenMax = 200;

    /// <summary>
    /// Removes tombstones of ids that begin with <paramref name="idPrefix"/> and are written no more.
    /// </summary>
    /// <param name="idPrefix">E.g. "request-". Never the prefix of an actor that lives on: it would begin again at
    /// sequence number 1.</param>
    /// <param name="before">Only rows that were written before this instant.</param>
    /// <returns>Rows removed, at most <see cref="SweptMax"/>.</returns>
    public static async Task<int> SweepAsync(
        JournalOptions options, string idPrefix, DateTimeOffset before, CancellationToken cancel)
    {
        ArgumentException.ThrowIfNullOrEmpty(idPrefix);
        await using var connection = await OpenAsync(options, cancel);
        await using var command = connection.CreateCommand();
        // The journal stamps its rows with the ticks of DateTime.
        command.CommandText =
            """
            DELETE FROM journal WHERE ordering IN (
              SELECT ordering FROM journal
              WHERE deleted = @deleted AND created < @before AND substr(persistence_id, 1, @length) = @prefix
              LIMIT @max)
            """;
        Add(command, "deleted", true);
        Add(command, "before", before.UtcTicks);
        Add(command, "length", idPrefix.Length);
        Add(command, "prefix", idPrefix);
        Add(command, "max", SweptMax);
        return await command.ExecuteNonQueryAsync(cancel);
    }

    /// <summary>
    /// Removes requests that ended before an instant, whole: a part of one could not be recovered.
    /// </summary>
    /// <returns>Requests removed, at most <see cref="ForgottenMax"/>.</returns>
    public static async Task<int> ForgetEndedAsync(
        JournalOptions options, DateTimeOffset before, CancellationToken cancel)
    {
        await using var connection = await OpenAsync(options, cancel);
        await using var transaction = await connection.BeginTransactionAsync(cancel);
        var ended = new List<string>();
        await using (var find = connection.CreateCommand())
        {
            find.Transaction = transaction;
            find.CommandText =
                """
                SELECT persistence_id FROM journal
                WHERE manifest LIKE 'request-finished.%' AND created < @before LIMIT @max
                """;
            Add(find, "before", before.UtcTicks);
            Add(find, "max", ForgottenMax);
            await using var rows = await find.ExecuteReaderAsync(cancel);
            while (await rows.ReadAsync(cancel)) ended.Add(rows.GetString(0));
        }

        foreach (var id in ended)
        {
            await using var delete = connection.CreateCommand();
            delete.Transaction = transaction;
            delete.CommandText = "DELETE FROM journal WHERE persistence_id = @id";
            Add(delete, "id", id);
            await delete.ExecuteNonQueryAsync(cancel);
        }

        await transaction.CommitAsync(cancel);
        return ended.Count;
    }

    internal static async Task<DbConnection> OpenAsync(JournalOptions options, CancellationToken cancel)
    {
        DbConnection connection = options.IsSqlite
            ? new SqliteConnection(options.ConnectionString)
            : new NpgsqlConnection(options.ConnectionString);
        try
        {
            await connection.OpenAsync(cancel);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    internal static void Add(DbCommand command, string name, object value)
    {
        var parameter = command.CreateParameter();
        parameter.ParameterName = name;
        parameter.Value = value;
        command.Parameters.Add(parameter);
    }
}
