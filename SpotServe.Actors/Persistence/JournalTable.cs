using Microsoft.Data.Sqlite;
using Npgsql;

namespace SpotServe.Actors.Persistence;

/// <summary>One event as it lies in the journal.</summary>
/// <param name="Created">Ticks of DateTime, in UTC.</param>
/// <param name="Serializer">Akka's number of whoever wrote the content.</param>
/// <param name="Writer">The incarnation of the entity that wrote it.</param>
internal sealed record JournalRow(
    string PersistenceId,
    long SequenceNumber,
    long Created,
    byte[] Content,
    string Manifest,
    int Serializer,
    string Writer);

/// <summary>
/// The journal's table, the same as Akka.Persistence.Sql made it: databases of former versions are read and written on.
/// The unique index is what keeps two writers of one entity apart.
/// </summary>
internal static class JournalTable
{
    /// <summary>Any number: control nodes that start at once on an empty database make the table one after the
    /// other.</summary>
    private const long Lock = 5108;

    private const string Indices =
        """
        CREATE UNIQUE INDEX IF NOT EXISTS journal_uq ON journal (persistence_id, sequence_number);
        CREATE INDEX IF NOT EXISTS journal_created_idx ON journal (created);
        CREATE INDEX IF NOT EXISTS journal_first_idx ON journal (ordering) WHERE sequence_number = 1;
        """;

    private const string SqliteTable =
        """
        CREATE TABLE IF NOT EXISTS journal (
          ordering INTEGER NOT NULL PRIMARY KEY,
          created INTEGER NOT NULL,
          deleted BIT NOT NULL,
          persistence_id NVARCHAR(255) NOT NULL,
          sequence_number INTEGER NOT NULL,
          message VARBINARY NOT NULL,
          tags NVARCHAR(100) NULL,
          manifest NVARCHAR(500) NULL,
          identifier INTEGER NULL,
          writer_uuid NVARCHAR(128) NULL);
        """;

    private const string PostgresTable =
        """
        CREATE TABLE IF NOT EXISTS journal (
          ordering BIGSERIAL NOT NULL PRIMARY KEY,
          created BIGINT NOT NULL,
          deleted BOOLEAN NOT NULL,
          persistence_id VARCHAR(255) NOT NULL,
          sequence_number BIGINT NOT NULL,
          message BYTEA NOT NULL,
          tags VARCHAR(100) NULL,
          manifest VARCHAR(500) NULL,
          identifier INTEGER NULL,
          writer_uuid VARCHAR(128) NULL);
        """;

    /// <summary>Where the table is missing. An index on all sequence numbers, which former versions made and every
    /// event had to be entered in, is dropped: only first events are looked for by theirs.</summary>
    private const string FormerIndex = "DROP INDEX IF EXISTS journal_sequence_number_idx;";

    public static void Make(SqliteConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = SqliteTable + Indices + FormerIndex;
        command.ExecuteNonQuery();
    }

    public static void Make(NpgsqlConnection connection)
    {
        using var transaction = connection.BeginTransaction();
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = $"SELECT pg_advisory_xact_lock({Lock});" + PostgresTable + Indices + FormerIndex;
        command.ExecuteNonQuery();
        transaction.Commit();
    }
}
