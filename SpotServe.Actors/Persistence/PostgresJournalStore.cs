using System.Data;
using Npgsql;
using NpgsqlTypes;

namespace SpotServe.Actors.Persistence;

/// <summary>Writes the journal's table in PostgreSQL: any number of events by one prepared statement, in one way there
/// and back. For one thread.</summary>
internal sealed class PostgresJournalStore(JournalOptions options) : IJournalStore
{
    private const string InsertSql =
        """
        INSERT INTO journal
          (created, deleted, persistence_id, sequence_number, message, manifest, identifier, writer_uuid)
        SELECT created, FALSE, persistence_id, sequence_number, message, manifest, identifier, writer_uuid
        FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
          AS event (created, persistence_id, sequence_number, message, manifest, identifier, writer_uuid, place)
        ORDER BY place
        """;

    private const string MarkSql =
        """
        UPDATE journal SET deleted = TRUE WHERE persistence_id = $1 AND sequence_number =
          (SELECT MAX(sequence_number) FROM journal WHERE persistence_id = $1 AND sequence_number <= $2)
        """;

    private const string DeleteSql =
        """
        DELETE FROM journal WHERE persistence_id = $1 AND sequence_number <
          (SELECT MAX(sequence_number) FROM journal WHERE persistence_id = $1 AND sequence_number <= $2)
        """;

    private const NpgsqlDbType Many = NpgsqlDbType.Array;

    private NpgsqlConnection? _connection;
    private NpgsqlCommand? _insert;

    public void Insert(IReadOnlyList<JournalRow> rows) => Connected(connection =>
    {
        var insert = _insert ??= Prepare(connection);
        insert.Parameters[0].Value = Column(rows, row => row.Created);
        insert.Parameters[1].Value = Column(rows, row => row.PersistenceId);
        insert.Parameters[2].Value = Column(rows, row => row.SequenceNumber);
        insert.Parameters[3].Value = Column(rows, row => row.Content);
        insert.Parameters[4].Value = Column(rows, row => row.Manifest);
        insert.Parameters[5].Value = Column(rows, row => row.Serializer);
        insert.Parameters[6].Value = Column(rows, row => row.Writer);
        insert.ExecuteNonQuery();
    });

    public void Delete(string persistenceId, long last) => Connected(connection =>
    {
        using var transaction = connection.BeginTransaction();
        foreach (var sql in (ReadOnlySpan<string>)[MarkSql, DeleteSql])
        {
            using var command = new NpgsqlCommand(sql, connection, transaction);
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = persistenceId });
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = last });
            command.ExecuteNonQuery();
        }

        transaction.Commit();
    });

    public void Dispose() => Close();

    private static T[] Column<T>(IReadOnlyList<JournalRow> rows, Func<JournalRow, T> value)
    {
        var column = new T[rows.Count];
        for (var i = 0; i < column.Length; i++) column[i] = value(rows[i]);
        return column;
    }

    private static NpgsqlCommand Prepare(NpgsqlConnection connection)
    {
        var insert = new NpgsqlCommand(InsertSql, connection);
        foreach (var type in (ReadOnlySpan<NpgsqlDbType>)
            [
                NpgsqlDbType.Bigint, NpgsqlDbType.Text, NpgsqlDbType.Bigint, NpgsqlDbType.Bytea, NpgsqlDbType.Text,
                NpgsqlDbType.Integer, NpgsqlDbType.Text,
            ])
        {
            insert.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = Many | type });
        }

        insert.Prepare();
        return insert;
    }

    /// <summary>A connection that broke is made anew for what comes next.</summary>
    private void Connected(Action<NpgsqlConnection> act)
    {
        if (_connection is null)
        {
            _connection = new NpgsqlConnection(options.ConnectionString);
            _connection.Open();
        }

        try
        {
            act(_connection);
        }
        finally
        {
            if (_connection.State != ConnectionState.Open) Close();
        }
    }

    private void Close()
    {
        _insert?.Dispose();
        _connection?.Dispose();
        (_insert, _connection) = (null, null);
    }
}
