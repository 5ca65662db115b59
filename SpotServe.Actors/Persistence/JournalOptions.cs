using Microsoft.Data.Sqlite;
using Npgsql;

namespace SpotServe.Actors.Persistence;

/// <summary>Where the journal lies.</summary>
public sealed record JournalOptions
{
    private JournalOptions(string provider, string connectionString, string description)
    {
        Provider = provider;
        ConnectionString = connectionString;
        Description = description;
    }

    /// <summary>linq2db's name of the database and its dialect.</summary>
    public string Provider { get; }

    /// <summary>May hold a password: never log it.</summary>
    public string ConnectionString { get; }

    /// <summary>For people and logs, without secrets.</summary>
    public string Description { get; }

    public bool IsSqlite => Provider == "SQLite.MS";

    /// <summary>A file "journal.db" in the data directory: one control node, nothing to install.</summary>
    public static JournalOptions Sqlite(string dataDirectory)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(dataDirectory);
        var file = Path.Combine(Path.GetFullPath(dataDirectory), "journal.db");
        var connection = new SqliteConnectionStringBuilder
        {
            DataSource = file,
            // Also how long a command waits for another writer's lock (seconds). The journal has one writer of its
            // own; this is for a backup or a person's shell beside it.
            DefaultTimeout = 10,
        };
        return new JournalOptions("SQLite.MS", connection.ToString(), $"SQLite {file}");
    }

    /// <summary>
    /// A PostgreSQL database, 12 or newer, which several control nodes share. Tables are made when missing.
    /// </summary>
    /// <exception cref="ArgumentException">The connection string is malformed or names no host.</exception>
    public static JournalOptions Postgres(string connectionString)
    {
        NpgsqlConnectionStringBuilder connection;
        try
        {
            connection = new NpgsqlConnectionStringBuilder(connectionString);
        }
        catch (Exception error) when (error is ArgumentException or FormatException)
        {
            throw new ArgumentException(
                "The PostgreSQL connection string is malformed: " + error.Message + " Write it as " +
                "\"Host=db.example;Database=spotserve;Username=spotserve;Password=...\".", nameof(connectionString));
        }

        if (string.IsNullOrEmpty(connection.Host))
            throw new ArgumentException("The PostgreSQL connection string has no Host.", nameof(connectionString));
        return new JournalOptions(
            "PostgreSQL.15", connection.ToString(), $"PostgreSQL {connection.Host}/{connection.Database}");
    }

    /// <summary>Makes the SQLite file and its directory where they are missing. PostgreSQL must answer.</summary>
    /// <exception cref="InvalidOperationException">The file cannot be made or opened; says why.</exception>
    /// <remarks>
    /// The journal's mode is a property of the file and is kept in it. With the write-ahead log a commit is one
    /// sequential write and one fsync, and readers do not wait for the writer. "synchronous" stays at its default,
    /// FULL: an accepted request must outlive a power cut, and NORMAL would lose the last commits then.
    /// </remarks>
    public void Prepare()
    {
        if (!IsSqlite)
        {
            Reach();
            return;
        }

        try
        {
            var file = new SqliteConnectionStringBuilder(ConnectionString).DataSource;
            PrivateFiles.CreateFolder(Path.GetDirectoryName(file)!);
            // SQLite gives its other files (-wal, -shm) the permissions of this one.
            PrivateFiles.Open(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite).Dispose();
            using var connection = new SqliteConnection(ConnectionString);
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA journal_mode = WAL";
            Invariant.Holds((string?)command.ExecuteScalar() == "wal");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or SqliteException)
        {
            throw new InvalidOperationException(
                $"Cannot use {Description} as the journal: {error.Message} Choose another data directory, or see " +
                "that it is writable and holds no other program's file of that name.", error);
        }
    }

    private void Reach()
    {
        try
        {
            using var connection = new NpgsqlConnection(ConnectionString);
            connection.Open();
        }
        catch (NpgsqlException error)
        {
            throw new InvalidOperationException(
                $"Cannot use {Description} as the journal: {error.Message} See that it runs, that its host and port " +
                "are right, and that user and database exist.", error);
        }
    }
}
