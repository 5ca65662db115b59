using System.Collections.Immutable;
using System.Runtime.CompilerServices;

namespace SpotServe.Node.Preemption.Clouds;

/// <summary>What one cloud's metadata service is asked, and what its answers mean.</summary>
internal interface ICloudProtocol
{
    /// <summary>Source of its notices: "aws", "azure", "gcp".</summary>
    string Name { get; }

    /// <summary>Time between two questions; zero where the service itself holds the answer back until there is
    /// one.</summary>
    TimeSpan Period { get; }

    /// <summary>Asks once. Repeats what is still true.</summary>
    /// <exception cref="HttpRequestException">Nobody answers.</exception>
    /// <exception cref="TimeoutException">No answer in time.</exception>
    /// <exception cref="MetadataException">The answer makes no sense.</exception>
    Task<ImmutableArray<MachineEvent>> AskAsync(CancellationToken cancel);

    /// <summary>See <see cref="INoticeSource.AcknowledgeAsync"/>.</summary>
    Task AcknowledgeAsync(CancellationToken cancel) => Task.CompletedTask;
}

/// <summary>
/// Asks a cloud's metadata service for as long as the process runs. Whatever it answers, or if it answers nothing, it
/// is asked again: a service that fails now may have a notice in a second. Failures are told once, and their end.
/// </summary>
internal sealed class CloudNotices(ICloudProtocol protocol, TimeProvider clock, Action<string> warn) : INoticeSource
{
    /// <summary>Longest pause after failures: a notice is at most so much later than it could be.</summary>
    public static readonly TimeSpan PauseMax = TimeSpan.FromSeconds(5);

    /// <summary>First pause after a failure of a service that holds answers back.</summary>
    private static readonly TimeSpan PauseMin = TimeSpan.FromMilliseconds(500);

    /// <summary>Failures in a row before anything is said: one lost answer is no news.</summary>
    private const int FailuresBeforeWord = 3;

    public string Name => protocol.Name;

    public async IAsyncEnumerable<MachineEvent> WatchAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        var told = new HashSet<MachineEvent>();
        DateTimeOffset? earliest = null;
        var failures = 0;
        while (true)
        {
            var (events, error) = await TryAskAsync(cancel).ConfigureAwait(false);
            failures = Count(failures, error);
            foreach (var said in events)
            {
                if (said is MachineEvent.Leaves { Notice.Deadline: var deadline })
                {
                    if (deadline >= earliest) continue;   // A cloud's clock in whole seconds makes deadlines tremble.
                    earliest = deadline;
                }
                else if (!told.Add(said))
                {
                    continue;
                }

                yield return said;
            }

            var pause = Pause(failures, error);
            if (pause == TimeSpan.Zero) continue;
            using var timer = new PeriodicTimer(pause, clock);
            await timer.WaitForNextTickAsync(cancel).ConfigureAwait(false);
        }
    }

    public Task AcknowledgeAsync(CancellationToken cancel) => protocol.AcknowledgeAsync(cancel);

    private async Task<(ImmutableArray<MachineEvent> Events, Exception? Error)> TryAskAsync(CancellationToken cancel)
    {
        try
        {
            return (await protocol.AskAsync(cancel).ConfigureAwait(false), null);
        }
        catch (Exception error) when (error is HttpRequestException or TimeoutException or MetadataException)
        {
            return ([], error);
        }
    }

    private int Count(int failures, Exception? error)
    {
        if (error is null)
        {
            if (failures >= FailuresBeforeWord) warn($"the metadata service of {Name} answers again");
            return 0;
        }

        if (failures + 1 == FailuresBeforeWord)
        {
            warn($"the metadata service of {Name} gives no answer that makes sense ({error.Message}). It is asked on; "
                + "until it answers, the end of this machine may come without notice.");
        }

        return Math.Min(failures + 1, FailuresBeforeWord);
    }

    private TimeSpan Pause(int failures, Exception? error)
    {
        if (failures == 0) return protocol.Period;
        var asked = (error as MetadataException)?.RetryAfter ?? TimeSpan.Zero;
        var pause = (protocol.Period > PauseMin ? protocol.Period : PauseMin) * failures;
        return asked > pause ? Min(asked, PauseMax) : Min(pause, PauseMax);
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
