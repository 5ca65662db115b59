using System.Globalization;
using System.Runtime.CompilerServices;
using SpotServe.Actors.Cluster;

namespace SpotServe.Node.Preemption;

/// <summary>
/// A file whose appearance is a notice, for whatever watches the cloud outside of this process. It holds the seconds
/// that are left ("25") or the end as an ISO 8601 time ("2026-11-24T13:14:15Z"); empty means the default grace period.
/// </summary>
internal sealed class NoticeFile(string path, TimeSpan grace, TimeProvider clock) : INoticeSource
{
    /// <summary>How often it is looked for.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromMilliseconds(200);

    private const int CharactersMax = 128;

    /// <summary>
    /// Looks at a content that makes no sense before it counts as one without a time: the writer may still write.
    /// </summary>
    private const int LooksMax = 3;

    private static readonly TimeSpan SecondsMax = TimeSpan.FromDays(1);

    public string Name => "file";

    /// <summary>Waits for the file, and for a new content that says an earlier end.</summary>
    public async IAsyncEnumerable<MachineEvent> WatchAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        using var timer = new PeriodicTimer(Period, clock);
        string? taken = null;
        var looks = 0;
        while (await timer.WaitForNextTickAsync(cancel).ConfigureAwait(false))
        {
            if (Read() is not { } content || content == taken) continue;
            looks++;
            var deadline = Deadline(content, clock.GetUtcNow());
            if (deadline is null && looks < LooksMax) continue;
            taken = content;
            looks = 0;
            yield return new MachineEvent.Leaves(
                new PreemptionNotice(deadline ?? clock.GetUtcNow() + grace, Name));
        }
    }

    /// <summary>What the content says; null when it says no time.</summary>
    public static DateTimeOffset? Deadline(string content, DateTimeOffset now)
    {
        var text = content.Trim();
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds))
        {
            return double.IsFinite(seconds)
                ? now + TimeSpan.FromSeconds(Math.Clamp(seconds, 0, SecondsMax.TotalSeconds))
                : null;
        }

        return DateTimeOffset.TryParse(
            text,
            CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal,
            out var time)
            ? time
            : null;
    }

    /// <summary>The file's beginning; null while there is none or it cannot be read.</summary>
    private string? Read()
    {
        try
        {
            using var file = new StreamReader(path);
            var buffer = new char[CharactersMax];
            return new string(buffer, 0, file.ReadBlock(buffer));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;   // Not there yet, or being written by another user: looked at again.
        }
    }
}
