using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// Writes the journal's table in SQLite, by statements that are prepared once and whose values go to SQLite as they
/// are: a token costs a few microseconds, most of them SQLite's own. For one thread.
/// </summary>
internal sealed class SqliteJournalStore(JournalOptions options) : IJournalStore
{
    /// <summary>Other writers, as the probe and the sweeper, hold the lock for milliseconds. SQLite itself waits for it
    /// in small steps, where Microsoft.Data.Sqlite looks every 150 ms.</summary>
    private const int BusyMilliseconds = 10_000;

    private const string InsertSql =
        """
        INSERT INTO journal
          (created, deleted, persistence_id, sequence_number, message, manifest, identifier, writer_uuid)
        VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7)
        """;

    private const string MarkSql =
        """
        UPDATE journal SET deleted = 1 WHERE persistence_id = ?1 AND sequence_number =
          (SELECT MAX(sequence_number) FROM journal WHERE persistence_id = ?1 AND sequence_number <= ?2)
        """;

    private const string DeleteSql =
        """
        DELETE FROM journal WHERE persistence_id = ?1 AND sequence_number <
          (SELECT MAX(sequence_number) FROM journal WHERE persistence_id = ?1 AND sequence_number <= ?2)
        """;

    private readonly byte[] _text = new byte[TextBytesMax];
    private Statements? _open;

    /// <summary>A persistence id, a manifest or a writer.</summary>
    private const int TextBytesMax = 4 * 500;

    public void Insert(IReadOnlyList<JournalRow> rows) => InTransaction(statements =>
    {
        for (var i = 0; i < rows.Count; i++) Insert(statements, rows[i]);
    });

    public void Delete(string persistenceId, long last) => InTransaction(statements =>
    {
        foreach (var statement in (ReadOnlySpan<sqlite3_stmt>)[statements.Mark, statements.Delete])
        {
            Bind(statements, statement, 1, persistenceId);
            statements.Check(raw.sqlite3_bind_int64(statement, 2, last));
            statements.Run(statement);
        }
    });

    public void Dispose() => Close();

    private void Insert(Statements statements, JournalRow row)
    {
        var insert = statements.Insert;
        statements.Check(raw.sqlite3_bind_int64(insert, 1, row.Created));
        Bind(statements, insert, 2, row.PersistenceId);
        statements.Check(raw.sqlite3_bind_int64(insert, 3, row.SequenceNumber));
        statements.Check(raw.sqlite3_bind_blob(insert, 4, row.Content));
        Bind(statements, insert, 5, row.Manifest);
        statements.Check(raw.sqlite3_bind_int(insert, 6, row.Serializer));
        Bind(statements, insert, 7, row.Writer);
        statements.Run(insert);
    }

    private void Bind(Statements statements, sqlite3_stmt statement, int index, string text)
    {
        var length = Encoding.UTF8.GetBytes(text, _text);
        statements.Check(raw.sqlite3_bind_text(statement, index, _text.AsSpan(0, length)));
    }

    /// <summary>After a failure the connection is opened anew: whatever it was, nothing of it is left.</summary>
    private void InTransaction(Action<Statements> act)
    {
        var statements = _open ??= new Statements(options);
        try
        {
            statements.Run(statements.Begin);
            act(statements);
            statements.Run(statements.Commit);
        }
        catch
        {
            Close();
            throw;
        }
    }

    private void Close()
    {
        _open?.Dispose();
        _open = null;
    }

    /// <summary>A connection with its prepared statements.</summary>
    private sealed class Statements : IDisposable
    {
        private readonly SqliteConnection _connection;
        private readonly sqlite3 _database;
        private readonly List<sqlite3_stmt> _all = [];

        public Statements(JournalOptions options)
        {
            // A pooled connection would be given on in the middle of what failed.
            _connection = new SqliteConnection(
                new SqliteConnectionStringBuilder(options.ConnectionString) { Pooling = false }.ToString());
            try
            {
                _connection.Open();
                _database = _connection.Handle ?? throw new InvariantException("an open connection has a handle");
                Check(raw.sqlite3_busy_timeout(_database, BusyMilliseconds));
                Begin = Prepare("BEGIN IMMEDIATE");
                Commit = Prepare("COMMIT");
                Insert = Prepare(InsertSql);
                Mark = Prepare(MarkSql);
                Delete = Prepare(DeleteSql);
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        public sqlite3_stmt Begin { get; }

        public sqlite3_stmt Commit { get; }

        public sqlite3_stmt Insert { get; }

        public sqlite3_stmt Mark { get; }

        public sqlite3_stmt Delete { get; }

        public void Run(sqlite3_stmt statement)
        {
            var result = raw.sqlite3_step(statement);
            // A step's error is read before the reset, which says it once more.
            if (result != raw.SQLITE_DONE) Check(result);
            Check(raw.sqlite3_reset(statement));
        }

        public void Check(int result)
        {
            if (result != raw.SQLITE_OK) SqliteException.ThrowExceptionForRC(result, _database);
        }

        /// <summary>Also rolls back what is open.</summary>
        public void Dispose()
        {
            foreach (var statement in _all) statement.Dispose();
            _connection.Dispose();
        }

        private sqlite3_stmt Prepare(string sql)
        {
            Check(raw.sqlite3_prepare_v2(_database, sql, out var statement));
            _all.Add(statement);
            return statement;
        }
    }
}
