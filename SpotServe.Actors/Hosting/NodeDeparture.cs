using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// What a node's process and its actors agree on about leaving: was a notice given, until when is there time, may it
/// go. Several notices are one departure with the earliest deadline. Thread-safe; one for each membership.
/// </summary>
public sealed class NodeDeparture(TimeProvider clock)
{
    /// <summary>Longest wait for a release, whatever a notice says; hocon/node.conf's phase is a little
    /// longer.</summary>
    public static readonly TimeSpan GraceMax = TimeSpan.FromMinutes(15);

    /// <summary>Kept of the grace period for leaving the cluster in order.</summary>
    public static readonly TimeSpan LeaveTime = PlannerLimits.LeaveTime;

    private readonly Lock _lock = new();
    private readonly TaskCompletionSource<PreemptionNotice> _noticed =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly TaskCompletionSource<string> _released =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private PreemptionNotice? _notice;
    private TaskCompletionSource _sooner = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The notice with the earliest deadline so far; null without one.</summary>
    public PreemptionNotice? Notice
    {
        get
        {
            lock (_lock) return _notice;
        }
    }

    /// <summary>Completes with the first notice.</summary>
    public Task<PreemptionNotice> Noticed => _noticed.Task;

    /// <summary>Completes with the reason when the node may go; also without a notice.</summary>
    public Task<string> Released => _released.Task;

    /// <summary>Takes a notice; false when an earlier deadline, or the same, is known already.</summary>
    public bool Announce(PreemptionNotice notice)
    {
        TaskCompletionSource sooner;
        lock (_lock)
        {
            if (_notice is not null && _notice.Deadline <= notice.Deadline) return false;
            _notice = notice;
            sooner = _sooner;
            _sooner = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        _noticed.TrySetResult(notice);
        sooner.TrySetResult();
        return true;
    }

    /// <summary>Nothing needs this node any more. Repeated calls change nothing.</summary>
    public void Release(string reason) => _released.TrySetResult(reason);

    /// <summary>
    /// Completes when the node may go, or when so little is left of the grace period that it has to; at once without a
    /// notice. Never fails.
    /// </summary>
    /// <returns>Why it goes.</returns>
    public async Task<string> UntilReleasedAsync()
    {
        while (!_released.Task.IsCompleted)
        {
            PreemptionNotice? notice;
            Task sooner;
            lock (_lock) (notice, sooner) = (_notice, _sooner.Task);
            if (notice is null) return "no notice was given";
            var left = notice.Deadline - LeaveTime - clock.GetUtcNow();
            if (left > GraceMax) left = GraceMax;
            if (left <= TimeSpan.Zero) Release("the grace period is over");
            else await WaitAsync(Task.WhenAny(_released.Task, sooner), left).ConfigureAwait(false);
        }

        return await _released.Task.ConfigureAwait(false);
    }

    private async Task WaitAsync(Task change, TimeSpan most)
    {
        try
        {
            await change.WaitAsync(most, clock).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            Release("the grace period is over");
        }
    }
}
