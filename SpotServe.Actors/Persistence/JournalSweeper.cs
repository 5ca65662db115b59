using System.Data.Common;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// Keeps the journal from growing without end. Akka's DeleteMessages keeps the last row of each persistence id, marked
/// as deleted, so that the id's sequence numbers go on from there. Request ids are never used again: their tombstones
/// can go.
/// </summary>
public static class JournalSweeper
{
    /// <summary>Rows that one sweep removes at most: it holds the database's write lock on SQLite.</summary>
    public const int SweptMax = 10_000;

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
        await using DbConnection connection = options.IsSqlite
            ? new SqliteConnection(options.ConnectionString)
            : new NpgsqlConnection(options.ConnectionString);
        await connection.OpenAsync(cancel);
        await using var command = connection.CreateCommand();
        // The journal stamps its rows with the ticks of DateTime.
        command.CommandText =
            """
            DELETE FROM journal WHERE ordering IN (
              SELECT ordering FROM journal
              WHERE deleted = @deleted AND created < @before AND substr(persistence_id, 1, @length) = @prefix
              LIMIT @max)
            """;
        Add("deleted", true);
        Add("before", before.UtcTicks);
        Add("length", idPrefix.Length);
        Add("prefix", idPrefix);
        Add("max", SweptMax);
        return await command.ExecuteNonQueryAsync(cancel);

        void Add(string name, object value)
        {
            var parameter = command.CreateParameter();
            parameter.ParameterName = name;
            parameter.Value = value;
            command.Parameters.Add(parameter);
        }
    }
}
