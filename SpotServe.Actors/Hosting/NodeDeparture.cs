using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// What a node's process and its actors agree on about leaving: was a notice given, until when is there time, may it
/// go. Several notices are one departure; <see cref="PreemptionNotice.Supersedes"/> says which of them counts.
/// Thread-safe; one for each membership.
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
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The notice that counts so far; null without one.</summary>
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

    /// <summary>Takes a notice; false when it says no more than what is known already.</summary>
    public bool Announce(PreemptionNotice notice)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            if (!notice.Supersedes(_notice)) return false;
            _notice = notice;
            changed = _changed;
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        _noticed.TrySetResult(notice);
        changed.TrySetResult();
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
            Task changed;
            lock (_lock) (notice, changed) = (_notice, _changed.Task);
            if (notice is null) return "no notice was given";
            var left = notice.Deadline - LeaveTime - clock.GetUtcNow();
            if (left > GraceMax) left = GraceMax;
            if (left <= TimeSpan.Zero) Release("the grace period is over");
            else await WaitAsync(Task.WhenAny(_released.Task, changed), left).ConfigureAwait(false);
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
