using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>
/// When a device may load weights, and when it may make pages: not before the memory that the planner counted as free
/// is free. That takes time where peers still read what goes, or a position that was given up still closes; the limit
/// of these waits is the caller's. One rule for every device, real or fake.
/// </summary>
/// <param name="weights">Of the device.</param>
/// <param name="pages">Of the device.</param>
public sealed class DeviceRoom(WeightStore weights, PageStore pages)
{
    /// <summary>Completes when weights may be loaded: at once, or, where memory is short, when all that the assignment
    /// has no use for is gone. May go on on the thread of whoever used that last.</summary>
    /// <param name="need">The assignment's weights.</param>
    public async Task ForWeightsAsync(
        PreparationOrder order, ImmutableArray<WeightSlice> need, CancellationToken cancel)
    {
        if (!order.FreesFirst) return;
        Invariant.Holds(order.Predecessor is null);   // its weights would be waited for while it serves
        var epoch = order.Assignment.Epoch;
        await pages.OlderGoneAsync(epoch, predecessor: null, cancel).ConfigureAwait(false);
        await weights.FreeBesideAsync(need, keepsParts: true, epoch, cancel).ConfigureAwait(false);
    }

    /// <summary>Completes when pages may be made: nothing of an older epoch is left but the order's predecessor, and,
    /// where memory is short, no weights but the assignment's. May go on on the thread of whoever used that
    /// last.</summary>
    /// <inheritdoc cref="ForWeightsAsync"/>
    public async Task ForPagesAsync(
        PreparationOrder order, ImmutableArray<WeightSlice> need, CancellationToken cancel)
    {
        var epoch = order.Assignment.Epoch;
        await pages.OlderGoneAsync(epoch, order.Predecessor, cancel).ConfigureAwait(false);
        var gone = order.FreesFirst
            ? weights.FreeBesideAsync(need, keepsParts: false, epoch, cancel)
            : weights.LeavingGoneAsync(epoch, cancel);
        await gone.ConfigureAwait(false);
    }
}
