using Akka.Actor;
using Akka.Persistence;
using Microsoft.Extensions.Hosting;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Requests;
using SpotServe.Tests.Serialization;
using Xunit;

namespace SpotServe.Tests.Persistence;

public sealed class JournalTests
{
    private static readonly TimeSpan Limit = Waits.Max;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("sqlite")]
    [InlineData("postgres")]
    public async Task Events_come_back_after_a_restart_of_the_process(string kind)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);

        await WithSystemAsync(database, async host =>
        {
            var actor = JournalSystem.Probe(host, "request-1");
            foreach (var stored in TestEvents.All) await WriteAsync(actor, stored);
        });

        await WithSystemAsync(database, async host =>
        {
            var recovered = await EventsAsync(JournalSystem.Probe(host, "request-1"));
            Assert.Equal(TestEvents.All.Length, recovered.Length);
            for (var i = 0; i < recovered.Length; i++) SameContent.Holds(TestEvents.All[i], recovered[i], $"event {i}");
        });
        Assert.Equal("request-accepted.3", await database.QueryAsync("SELECT manifest FROM journal ORDER BY ordering"));
    }

    [Theory]
    [InlineData("sqlite")]
    [InlineData("postgres")]
    public async Task Forgotten_request_recovers_nothing_and_its_tombstone_can_be_swept(string kind)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);

        await WithSystemAsync(database, async host =>
        {
            var gone = JournalSystem.Probe(host, "request-gone");
            var kept = JournalSystem.Probe(host, "request-kept");
            for (var i = 0; i < 5; i++)
            {
                await WriteAsync(gone, Tokens("gone", i));
                await WriteAsync(kept, Tokens("kept", i));
            }

            await gone.Ask<DeleteMessagesSuccess>(new JournalProbe.Forget(), Limit, Cancel);
        });

        await WithSystemAsync(database, async host =>
        {
            Assert.Empty(await EventsAsync(JournalSystem.Probe(host, "request-gone")));
            Assert.Equal(5, (await EventsAsync(JournalSystem.Probe(host, "request-kept"))).Length);
        });
        Assert.Equal(6L, Convert.ToInt64(await database.QueryAsync("SELECT COUNT(*) FROM journal")));

        var swept = await JournalSweeper.SweepAsync(database.Options, "request-", DateTimeOffset.MaxValue, Cancel);

        Assert.Equal(1, swept);
        Assert.Equal(5L, Convert.ToInt64(await database.QueryAsync("SELECT COUNT(*) FROM journal")));
    }

    [Theory]
    [InlineData("sqlite")]
    [InlineData("postgres")]
    public async Task Sweeping_leaves_younger_tombstones_and_other_actors_alone(string kind)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);
        await WithSystemAsync(database, async host =>
        {
            foreach (var id in (string[])["request-1", "planner"])
            {
                var actor = JournalSystem.Probe(host, id);
                await WriteAsync(actor, Tokens(id, 0));
                await actor.Ask<DeleteMessagesSuccess>(new JournalProbe.Forget(), Limit, Cancel);
            }
        });

        Assert.Equal(
            0, await JournalSweeper.SweepAsync(database.Options, "request-", DateTimeOffset.UnixEpoch, Cancel));
        Assert.Equal(
            1, await JournalSweeper.SweepAsync(database.Options, "request-", DateTimeOffset.MaxValue, Cancel));

        Assert.Equal("planner", await database.QueryAsync("SELECT persistence_id FROM journal"));
    }

    [Theory]
    [InlineData("sqlite")]
    [InlineData("postgres")]
    public async Task Sixty_four_writers_at_once_lose_nothing(string kind)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);

        await WithSystemAsync(database, host => Task.WhenAll(Enumerable.Range(0, 64).Select(async writer =>
        {
            var actor = JournalSystem.Probe(host, $"request-{writer}");
            for (var i = 0; i < 20; i++) await WriteAsync(actor, Tokens($"{writer}", i));
        })));

        await WithSystemAsync(database, host => Task.WhenAll(Enumerable.Range(0, 64).Select(async writer =>
        {
            var recovered = await EventsAsync(JournalSystem.Probe(host, $"request-{writer}"));
            Assert.Equal(
                Enumerable.Range(0, 20), recovered.Cast<RequestEvents.TokensCommitted>().Select(t => t.FirstIndex));
        })));
    }

    [Fact]
    public async Task Sqlite_file_is_made_on_first_use_with_a_write_ahead_log_that_survives_power_loss()
    {
        await using var database = await JournalDatabase.CreateAsync("sqlite");

        await WithSystemAsync(database, host => WriteAsync(JournalSystem.Probe(host, "request-1"), Tokens("1", 0)));

        Assert.Equal("wal", await database.QueryAsync("PRAGMA journal_mode"));
        Assert.Equal(2L, await database.QueryAsync("PRAGMA synchronous"));
    }

    [Fact]
    public void Unusable_data_directory_is_a_clear_error_at_startup()
    {
        var file = Path.GetTempFileName();
        try
        {
            var options = JournalOptions.Sqlite(Path.Combine(file, "data"));

            var error = Assert.Throws<InvalidOperationException>(() => options.Prepare());

            Assert.Contains(file, error.Message, StringComparison.Ordinal);
            Assert.Contains("data directory", error.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("Database=spotserve")]
    [InlineData("no connection string")]
    [InlineData("Host=a;Port=many")]
    public void Malformed_connection_string_is_refused(string connectionString) =>
        Assert.Throws<ArgumentException>(() => JournalOptions.Postgres(connectionString));

    [Fact]
    public void Description_has_no_password() => Assert.Equal(
        "PostgreSQL db.example/spotserve",
        JournalOptions.Postgres("Host=db.example;Database=spotserve;Username=u;Password=secret").Description);

    private static RequestEvents.TokensCommitted Tokens(string id, int index) =>
        new(new RequestId(id), index, [1, 2, 3]);

    private static Task<JournalProbe.Written> WriteAsync(IActorRef actor, object stored) =>
        actor.Ask<JournalProbe.Written>(new JournalProbe.Write(stored), Limit, Cancel);

    private static Task<object[]> EventsAsync(IActorRef actor) =>
        actor.Ask<object[]>(new JournalProbe.GetEvents(), Limit, Cancel);

    private static async Task WithSystemAsync(JournalDatabase database, Func<IHost, Task> act)
    {
        using var host = await JournalSystem.StartAsync(database.Options, Cancel);
        await act(host);
        await host.StopAsync(Cancel);
    }
}
