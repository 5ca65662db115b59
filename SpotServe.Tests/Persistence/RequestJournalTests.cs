using Akka.Actor;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Requests;
using Xunit;

namespace SpotServe.Tests.Persistence;

/// <summary>What the keeper of requests asks the real databases.</summary>
public sealed class RequestJournalTests
{
    private static readonly TimeSpan Limit = Waits.Max;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("sqlite")]
    [InlineData("postgres")]
    public async Task Open_requests_are_those_that_were_accepted_and_have_not_ended(string kind)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);
        await WriteAsync(database, "request-open", Accepted("open"), Tokens("open"));
        await WriteAsync(database, "request-ended", Accepted("ended"), Tokens("ended"), Finished("ended"));
        await WriteAsync(database, "request-new", Accepted("new"));
        await WriteAsync(database, "planner", Accepted("no request"));
        var journal = new RequestJournal(database.Options);

        Assert.Equal(["open", "new"], (await journal.FindOpenAsync(10, Cancel)).Select(id => id.Value));
        Assert.Equal(["open"], (await journal.FindOpenAsync(1, Cancel)).Select(id => id.Value));
    }

    /// <summary>Also after Akka has looked for its index once more.</summary>
    [Theory]
    [InlineData("sqlite")]
    [InlineData("postgres")]
    public async Task Index_of_sequence_numbers_has_first_events_alone_and_open_requests_are_found_by_it(string kind)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);
        await WriteAsync(database, "request-open", Accepted("open"), Tokens("open"));
        var journal = new RequestJournal(database.Options);

        await journal.SweepAsync(DateTimeOffset.UnixEpoch, Cancel);
        await WriteAsync(database, "request-new", Accepted("new"), Tokens("new"));

        var definition = (string?)await database.QueryAsync(kind == "sqlite"
            ? "SELECT sql FROM sqlite_master WHERE name = 'journal_sequence_number_idx'"
            : "SELECT indexdef FROM pg_indexes WHERE indexname = 'journal_sequence_number_idx'");
        Assert.EndsWith("sequence_number = 1", definition?.TrimEnd(')'), StringComparison.Ordinal);
        Assert.Equal(["open", "new"], (await journal.FindOpenAsync(10, Cancel)).Select(id => id.Value));
    }

    [Theory]
    [InlineData("sqlite")]
    [InlineData("postgres")]
    public async Task Sweep_removes_requests_that_ended_long_ago_and_nothing_of_open_ones(string kind)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);
        await WriteAsync(database, "request-open", Accepted("open"), Tokens("open"));
        await WriteAsync(database, "request-ended", Accepted("ended"), Tokens("ended"), Finished("ended"));
        var journal = new RequestJournal(database.Options);

        var moreOfTheOld = await journal.SweepAsync(DateTimeOffset.UnixEpoch, Cancel);
        var rowsBefore = await database.QueryAsync("SELECT COUNT(*) FROM journal");
        var moreOfAll = await journal.SweepAsync(DateTimeOffset.MaxValue, Cancel);

        Assert.False(moreOfTheOld || moreOfAll);
        Assert.Equal(5L, Convert.ToInt64(rowsBefore));
        Assert.Equal(2L, Convert.ToInt64(await database.QueryAsync("SELECT COUNT(*) FROM journal")));
        Assert.Equal(["open"], (await journal.FindOpenAsync(10, Cancel)).Select(id => id.Value));
    }

    // Two parts of a cluster that do not see each other would else both write a request's or the planner's next event.
    [Theory]
    [InlineData("sqlite")]
    [InlineData("postgres")]
    public async Task Database_refuses_a_second_event_of_the_same_number(string kind)
    {
        await using var database = await JournalDatabase.CreateAsync(kind);
        await WriteAsync(database, "request-a", Accepted("a"));

        var refusal = await Assert.ThrowsAnyAsync<System.Data.Common.DbException>(() => database.QueryAsync(
            "INSERT INTO journal (created, deleted, persistence_id, sequence_number, message) " +
            "SELECT created, deleted, persistence_id, sequence_number, message FROM journal"));

        Assert.Contains("unique", refusal.Message, StringComparison.OrdinalIgnoreCase);
    }

    private static async Task WriteAsync(JournalDatabase database, string persistenceId, params object[] events)
    {
        using var host = await JournalSystem.StartAsync(database.Options, Cancel);
        var actor = JournalSystem.Probe(host, persistenceId);
        foreach (var stored in events)
            await actor.Ask<JournalProbe.Written>(new JournalProbe.Write(stored), Limit, Cancel);
        await host.StopAsync(Cancel);
    }

    private static RequestEvents.RequestAccepted Accepted(string id) => new(
        new RequestId(id), TestEvents.At,
        new GenerationSpec([1, 2], new GenerationParameters(8, SamplingParameters.Greedy, [])));

    private static RequestEvents.TokensCommitted Tokens(string id) => new(new RequestId(id), 0, [1, 2, 3]);

    private static RequestEvents.RequestFinished Finished(string id) =>
        new(new RequestId(id), FinishReason.Length, null, TestEvents.At);
}
