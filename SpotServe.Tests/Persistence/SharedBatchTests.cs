using System.Data.Common;
using Akka.Actor;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Requests;
using Xunit;

namespace SpotServe.Tests.Persistence;

/// <summary>Many entities' events go in one transaction: one that is refused there is nobody else's loss.</summary>
public sealed class SharedBatchTests
{
    private const int Writers = 40;
    private static readonly TimeSpan Limit = Waits.Max;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("sqlite", 1)]
    [InlineData("sqlite", 3)]
    [InlineData("postgres", 3)]
    public async Task Doubled_events_fail_their_own_entities_and_no_others_of_the_same_transaction(
        string kind, int doubled)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);
        using var host = await JournalSystem.StartAsync(database.Options, Cancel);
        var actors = Enumerable.Range(0, Writers).Select(i => JournalSystem.Probe(host, $"request-{i}")).ToArray();
        await Task.WhenAll(actors.Select((actor, i) => WriteAsync(actor, i, 0)));
        // Another process went on with some of them.
        for (var i = 0; i < doubled; i++) await DoubleAsync(database, $"request-{10 + i}");

        var written = await WhileLockedAsync(
            database, () => [.. actors.Select((actor, i) => WriteAsync(actor, i, 1))]);

        for (var i = 0; i < Writers; i++)
        {
            var isDoubled = i >= 10 && i < 10 + doubled;
            if (isDoubled) Assert.True(JournalConflict.IsIn(await Assert.ThrowsAnyAsync<Exception>(() => written[i])));
            else Assert.Equal(2, (await written[i].WaitAsync(Limit, Cancel)).SequenceNr);
        }

        Assert.Equal(2L * Writers, await database.QueryAsync("SELECT COUNT(*) FROM journal"));
        await host.StopAsync(Cancel);
    }

    [Theory]
    [InlineData("sqlite", 2)]
    [InlineData("postgres", 5)]
    public async Task What_comes_while_writes_are_under_way_is_one_write(string kind, int writesMax)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);
        using var host = await JournalSystem.StartAsync(database.Options, Cancel);
        var actors = Enumerable.Range(0, Writers).Select(i => JournalSystem.Probe(host, $"request-{i}")).ToArray();
        await Task.WhenAll(actors.Select((actor, i) => WriteAsync(actor, i, 0)));

        var written = await WhileLockedAsync(
            database,
            () => [.. actors.Select((actor, i) => WriteAsync(actor, i, 1))],
            async () =>
            {
                // An actor that says who it is has done what it was told before: all writes have come to the journal.
                foreach (var actor in actors) await WhoIsAsync(actor);
                await WhoIsAsync(JournalOf(host));
            });
        await Task.WhenAll(written).WaitAsync(Limit, Cancel);

        // Akka's journal gives all rows of one call the same time.
        var writes = (long)(await database.QueryAsync(
            "SELECT COUNT(DISTINCT created) FROM journal WHERE sequence_number = 2"))!;
        Assert.InRange(writes, 1, writesMax);
        Assert.Equal(
            (long)Writers, await database.QueryAsync("SELECT COUNT(*) FROM journal WHERE sequence_number = 2"));
        await host.StopAsync(Cancel);
    }

    private static Task<ActorIdentity> WhoIsAsync(IActorRef actor) =>
        actor.Ask<ActorIdentity>(new Identify(actor), Limit, Cancel);

    private static IActorRef JournalOf(IHost host) =>
        Akka.Persistence.Persistence.Instance.Apply(host.Services.GetRequiredService<ActorSystem>()).JournalFor("");

    private static Task<JournalProbe.Written> WriteAsync(IActorRef actor, int writer, int index) =>
        actor.Ask<JournalProbe.Written>(
            new JournalProbe.Write(new RequestEvents.TokensCommitted(new RequestId($"{writer}"), index, [1])),
            Limit, Cancel);

    private static Task<object?> DoubleAsync(JournalDatabase database, string id) => database.QueryAsync(
        $"""
        INSERT INTO journal
          (created, deleted, persistence_id, sequence_number, message, manifest, identifier, writer_uuid)
        SELECT created, deleted, persistence_id, 2, message, manifest, identifier, writer_uuid FROM journal
        WHERE persistence_id = '{id}'
        """);

    /// <summary>Has writes begin while nobody can write, so that they come to be in one transaction.</summary>
    private static async Task<Task<JournalProbe.Written>[]> WhileLockedAsync(
        JournalDatabase database, Func<Task<JournalProbe.Written>[]> begin, Func<Task>? untilBegun = null)
    {
        await using DbConnection connection = database.Options.IsSqlite
            ? new SqliteConnection(database.Options.ConnectionString)
            : new NpgsqlConnection(database.Options.ConnectionString);
        await connection.OpenAsync(Cancel);
        await using var command = connection.CreateCommand();
        command.CommandText = database.Options.IsSqlite
            ? "BEGIN IMMEDIATE"
            : "BEGIN; LOCK TABLE journal IN EXCLUSIVE MODE";
        await command.ExecuteNonQueryAsync(Cancel);
        var writes = begin();
        if (untilBegun is not null) await untilBegun();
        command.CommandText = "ROLLBACK";
        await command.ExecuteNonQueryAsync(Cancel);
        return writes;
    }
}
