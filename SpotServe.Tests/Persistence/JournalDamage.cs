using System.Data.Common;
using Microsoft.Data.Sqlite;
using Npgsql;
using Xunit;

namespace SpotServe.Tests.Persistence;

/// <summary>What a disk, or a person, can do to one row of a journal.</summary>
internal sealed record JournalDamage(string Name, Func<byte[], byte[]> Content, Func<string, string> Manifest)
{
    public static IReadOnlyList<JournalDamage> All { get; } =
    [
        new("cut", content => content[..(content.Length / 2)], manifest => manifest),
        new("empty", _ => [], manifest => manifest),
        new("flipped", content => Flip(content, content.Length / 3), manifest => manifest),
        // Well-formed, and something else: only the checksum tells.
        new("other digit", content => Flip(content, Array.FindLastIndex(content, content.Length - 10, IsDigit)),
            manifest => manifest),
        new("unknown manifest", content => content, _ => "order-placed.1"),
        new("version to come", content => content, manifest => manifest.Split('.')[0] + ".99"),
    ];

    public async Task DoAsync(JournalDatabase database, string persistenceId, long sequenceNumber)
    {
        await using DbConnection connection = database.Options.IsSqlite
            ? new SqliteConnection(database.Options.ConnectionString)
            : new NpgsqlConnection(database.Options.ConnectionString);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var read = Command(
            "SELECT message, manifest FROM journal WHERE persistence_id = @id AND sequence_number = @number");
        byte[] content;
        string manifest;
        await using (var rows = await read.ExecuteReaderAsync(TestContext.Current.CancellationToken))
        {
            Assert.True(await rows.ReadAsync(TestContext.Current.CancellationToken));
            (content, manifest) = ((byte[])rows[0], rows.GetString(1));
        }

        await using var write = Command(
            "UPDATE journal SET message = @message, manifest = @manifest " +
            "WHERE persistence_id = @id AND sequence_number = @number");
        Add(write, "message", Content(content));
        Add(write, "manifest", Manifest(manifest));
        Assert.Equal(1, await write.ExecuteNonQueryAsync(TestContext.Current.CancellationToken));

        DbCommand Command(string sql)
        {
            var command = connection.CreateCommand();
            command.CommandText = sql;
            Add(command, "id", persistenceId);
            Add(command, "number", sequenceNumber);
            return command;
        }
    }

    public override string ToString() => Name;

    private static byte[] Flip(byte[] content, int at)
    {
        var changed = content.ToArray();
        changed[at] ^= 1;
        return changed;
    }

    private static bool IsDigit(byte one) => one is >= (byte)'0' and <= (byte)'9';

    private static void Add(DbCommand command, string name, object value)
    {
        var parameter = command.CreateParameter();
        (parameter.ParameterName, parameter.Value) = (name, value);
        command.Parameters.Add(parameter);
    }
}
