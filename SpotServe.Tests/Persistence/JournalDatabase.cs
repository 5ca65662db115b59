using Microsoft.Data.Sqlite;
using Npgsql;
using SpotServe.Actors.Persistence;
using Xunit;

namespace SpotServe.Tests.Persistence;

/// <summary>A database of its own for one test: a SQLite file, or a database on the PostgreSQL server that
/// SPOTSERVE_TEST_POSTGRES names. Gone at the end.</summary>
internal sealed class JournalDatabase : IAsyncDisposable
{
    private const string Variable = "SPOTSERVE_TEST_POSTGRES";

    private readonly string? _directory;
    private readonly string? _server;
    private readonly string _name = $"spotserve_{Guid.NewGuid():N}";

    private JournalDatabase(string? directory, string? server)
    {
        _directory = directory;
        _server = server;
        Options = directory is not null
            ? JournalOptions.Sqlite(directory)
            : JournalOptions.Postgres(new NpgsqlConnectionStringBuilder(server) { Database = _name }.ToString());
    }

    public JournalOptions Options { get; }

    /// <param name="kind">"sqlite" or "postgres"; the latter skips the test where there is no server.</param>
    public static async Task<JournalDatabase> CreateAsync(string kind)
    {
        if (kind == "sqlite") return new JournalDatabase(Directory.CreateTempSubdirectory("spotserve-").FullName, null);
        var server = Environment.GetEnvironmentVariable(Variable);
        if (string.IsNullOrEmpty(server))
            Assert.Skip($"{Variable} names no PostgreSQL server (a connection string); .ci/run starts one.");
        var database = new JournalDatabase(null, server);
        await database.OnServerAsync($"CREATE DATABASE {database._name}");
        return database;
    }

    /// <summary>First column of the query's first row.</summary>
    public Task<object?> QueryAsync(string sql) => QueryAsync(Options, sql);

    /// <summary>First column of the query's first row, in any journal.</summary>
    public static async Task<object?> QueryAsync(JournalOptions journal, string sql)
    {
        await using System.Data.Common.DbConnection connection = journal.IsSqlite
            ? new SqliteConnection(journal.ConnectionString)
            : new NpgsqlConnection(journal.ConnectionString);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        return await command.ExecuteScalarAsync(TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (_directory is not null)
        {
            await using (var file = new SqliteConnection(Options.ConnectionString)) SqliteConnection.ClearPool(file);
            Directory.Delete(_directory, recursive: true);
            return;
        }

        await OnServerAsync($"DROP DATABASE {_name} WITH (FORCE)");
        await using (var pooled = new NpgsqlConnection(Options.ConnectionString)) NpgsqlConnection.ClearPool(pooled);
    }

    private async Task OnServerAsync(string sql)
    {
        await using var connection = new NpgsqlConnection(_server);
        await connection.OpenAsync(CancellationToken.None);
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(CancellationToken.None);
    }
}
