using System.Collections.Immutable;

namespace SpotServe.Actors.Persistence;

/// <summary>What is asked of the journal beside what entities recover from it.</summary>
public interface IRequestJournal
{
    /// <summary>Requests that were accepted and have not ended, the oldest first.</summary>
    /// <param name="max">Most that are given.</param>
    Task<ImmutableArray<RequestId>> FindOpenAsync(int max, CancellationToken cancel);

    /// <summary>Removes a bounded part of what is over.</summary>
    /// <param name="before">Only what was written before this instant.</param>
    /// <returns>Whether there may be more to remove.</returns>
    Task<bool> SweepAsync(DateTimeOffset before, CancellationToken cancel);
}

/// <summary>The request events in the SQL journal. Thread-safe: each call has a connection of its own.</summary>
public sealed class RequestJournal(JournalOptions options) : IRequestJournal
{
    /// <summary>What the persistence ids of request entities begin with.</summary>
    public const string IdPrefix = "request-";

    /// <summary>
    /// A request's first event has sequence number 1 and its last one says whether it has ended. Both are found by
    /// index, so the cost is that of the requests that are kept, not of their tokens.
    /// </summary>
    private const string OpenSql =
        """
        SELECT first.persistence_id FROM journal first
        WHERE first.sequence_number = 1 AND first.deleted = @deleted
          AND substr(first.persistence_id, 1, @length) = @prefix
          AND (SELECT last.manifest FROM journal last WHERE last.persistence_id = first.persistence_id
               ORDER BY last.sequence_number DESC LIMIT 1) NOT LIKE 'request-finished.%'
        ORDER BY first.ordering LIMIT @max
        """;

    private bool _triedIndex;

    // Microsoft.Data.Sqlite's asynchronous calls are synchronous: they belong on a thread of the pool.
    public Task<ImmutableArray<RequestId>> FindOpenAsync(int max, CancellationToken cancel) =>
        Task.Run(() => FindAsync(max, cancel), cancel);

    public Task<bool> SweepAsync(DateTimeOffset before, CancellationToken cancel) => Task.Run(
        async () =>
        {
            var tombstones = await JournalSweeper.SweepAsync(options, IdPrefix, before, cancel).ConfigureAwait(false);
            var requests = await JournalSweeper.ForgetEndedAsync(options, before, cancel).ConfigureAwait(false);
            // Once: a database that does not allow it is told of once, and only written to more.
            if (!_triedIndex)
            {
                _triedIndex = true;
                await JournalIndexes.OfFirstEventsAsync(options, cancel).ConfigureAwait(false);
            }

            return tombstones == JournalSweeper.SweptMax || requests == JournalSweeper.ForgottenMax;
        },
        cancel);

    private async Task<ImmutableArray<RequestId>> FindAsync(int max, CancellationToken cancel)
    {
        await using var connection = await JournalSweeper.OpenAsync(options, cancel).ConfigureAwait(false);
        await using var command = connection.CreateCommand();
        command.CommandText = OpenSql;
        JournalSweeper.Add(command, "deleted", false);
        JournalSweeper.Add(command, "length", IdPrefix.Length);
        JournalSweeper.Add(command, "prefix", IdPrefix);
        JournalSweeper.Add(command, "max", max);
        var open = ImmutableArray.CreateBuilder<RequestId>();
        await using var rows = await command.ExecuteReaderAsync(cancel).ConfigureAwait(false);
        while (await rows.ReadAsync(cancel).ConfigureAwait(false))
            open.Add(new RequestId(rows.GetString(0)[IdPrefix.Length..]));
        return open.ToImmutable();
    }
}
