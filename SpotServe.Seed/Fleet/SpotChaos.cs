using SpotServe.Actors.Cluster;
using SpotServe.Actors.Gateway;

namespace SpotServe.Seed.Fleet;

/// <summary>
/// A cloud that takes its machines back, for a demonstration on one machine: every so often the node that has run
/// longest goes, in turn with notice and without. The fleet manager starts a new one in its place.
/// </summary>
/// <param name="nodes">The nodes that may be taken now, oldest first; none while nothing serves.</param>
/// <param name="say">Gets a line for people about each loss.</param>
internal sealed class SpotChaos(
    Func<IReadOnlyList<NodeInfo>> nodes,
    LocalNodes fleet,
    IClusterOperator cluster,
    TimeProvider clock,
    Action<string> say)
{
    /// <summary>Shortest time between two losses: a node takes some seconds to start.</summary>
    public static readonly TimeSpan PeriodMin = TimeSpan.FromSeconds(10);

    /// <summary>From a notice to the end of the machine.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(30);

    /// <summary>Takes a node each period until cancelled. One that cannot be taken is passed over.</summary>
    public async Task RunAsync(TimeSpan period, CancellationToken cancel)
    {
        try
        {
            var losses = 0;
            while (true)
            {
                await PassAsync(period, cancel).ConfigureAwait(false);
                if (nodes().FirstOrDefault(fleet.Has) is not { } oldest) continue;
                losses++;
                var done = await TakeAsync(oldest, isNotice: losses % 2 == 1, cancel).ConfigureAwait(false);
                say($"--spot-chaos, loss {losses}: {done}");
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // Told to stop.
        }
    }

    /// <summary>A timer for each wait: one that ran on meanwhile would have a tick ready.</summary>
    private async Task PassAsync(TimeSpan time, CancellationToken cancel)
    {
        using var timer = new PeriodicTimer(time, clock);
        await timer.WaitForNextTickAsync(cancel).ConfigureAwait(false);
    }

    /// <returns>What was done, for people.</returns>
    private async Task<string> TakeAsync(NodeInfo node, bool isNotice, CancellationToken cancel)
    {
        try
        {
            var refusal = isNotice
                ? await cluster.PreemptAsync(node.Node, Grace, cancel).ConfigureAwait(false)
                : fleet.Kill(node);
            if (refusal is not null) return $"{node.Node} could not be taken: {refusal}";
            return isNotice ? $"{node.Node} goes in {Grace.TotalSeconds:0} s." : $"{node.Node} is killed.";
        }
        catch (PlannerSilentException error)
        {
            return $"{node.Node} could not be taken: {error.Message}";
        }
    }
}
