namespace SpotServe.Actors.Persistence;

/// <summary>Tries whether a database takes writes. A seam, because tests have a disk that is full at will.</summary>
public interface IJournalProbe
{
    /// <summary>Completes when something was written and is safe, and fails when that was not possible.</summary>
    Task WriteAsync(CancellationToken cancel);
}

/// <summary>
/// Writes a row beside the journal, always the same one: as large as what a request may write at once, so that a disk
/// with room for the probe alone does not pass for one with room.
/// </summary>
public sealed class JournalProbe(JournalOptions options) : IJournalProbe
{
    private const int FillerChars = 16 << 10;

    private static readonly string Filler = new('.', FillerChars);

    private bool _hasTable;

    // Microsoft.Data.Sqlite's asynchronous calls are synchronous: they belong on a thread of the pool.
    public Task WriteAsync(CancellationToken cancel) => Task.Run(() => TryAsync(cancel), cancel);

    private async Task TryAsync(CancellationToken cancel)
    {
        await using var connection = await JournalSweeper.OpenAsync(options, cancel).ConfigureAwait(false);
        await using var command = connection.CreateCommand();
        if (!_hasTable)
        {
            command.CommandText = "CREATE TABLE IF NOT EXISTS journal_probe (id INTEGER PRIMARY KEY, filler TEXT)";
            await command.ExecuteNonQueryAsync(cancel).ConfigureAwait(false);
            _hasTable = true;
        }

        command.CommandText =
            "INSERT INTO journal_probe (id, filler) VALUES (1, @filler) " +
            "ON CONFLICT (id) DO UPDATE SET filler = excluded.filler";
        JournalSweeper.Add(command, "filler", Filler);
        await command.ExecuteNonQueryAsync(cancel).ConfigureAwait(false);
    }
}
