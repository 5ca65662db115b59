using SpotServe.Actors.Fleet;

namespace SpotServe.Seed.Dashboard.Live;

/// <summary>What the fleet manager said last. It is asked once a second, and never while a question is open: it may
/// move to another control node meanwhile. Called by one thread at a time.</summary>
internal sealed class FleetWatch(IFleetOperator fleet, TimeProvider clock)
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private Task<FleetProtocol.FleetReport?>? _asking;
    private DateTimeOffset _askedAt;

    /// <summary>Null where nodes are started by hand, and while nobody answers.</summary>
    public FleetProtocol.FleetReport? Latest { get; private set; }

    /// <summary>Takes the answer to the last question, and asks again when it is time. Waits for nobody.</summary>
    public async Task ReadAsync(CancellationToken cancel)
    {
        if (_asking is { IsCompleted: true } answered)
        {
            _asking = null;
            Latest = await answered.ConfigureAwait(false);
        }

        var now = clock.GetUtcNow();
        if (_asking is not null || now - _askedAt < Period) return;
        _askedAt = now;
        _asking = fleet.ReportAsync(cancel);
    }
}
