using SpotServe.Actors.Cluster;
using SpotServe.Actors.Gateway;

namespace SpotServe.Actors.Simulation;

/// <summary>Where requests come in: a queue that loses nothing, in front of a simulated cluster.</summary>
internal sealed class RequestDesk
{
    /// <summary>Over which the rate of arrivals is taken, as gateways do.</summary>
    private static readonly double RateSeconds = new GatewayOptions().LoadWindow.TotalSeconds;

    private readonly LiveSetup _setup;
    private readonly VirtualTime _time;
    private readonly SortedSet<SimulatedRequest> _queue =
        new(Comparer<SimulatedRequest>.Create((left, right) => left.Index.CompareTo(right.Index)));

    private readonly ArrivalWindow _window = new(TimeSpan.FromSeconds(RateSeconds));
    private int _open;
    private bool _dispatching;

    public RequestDesk(VirtualTime time, LiveSetup setup)
    {
        (_time, _setup) = (time, setup);
        Cluster = new LiveCluster(time, setup, Requeue, Dispatch, OnEnded, Demand);
    }

    public LiveCluster Cluster { get; }

    private DateTimeOffset Now => DateTimeOffset.UnixEpoch + TimeSpan.FromSeconds(_time.Now);

    /// <summary>Lets requests come at their times.</summary>
    /// <param name="requests">By rising time.</param>
    public void Expect(SimulatedRequest[] requests)
    {
        if (requests.Length > 0) ScheduleArrival(requests, 0);
    }

    private void ScheduleArrival(SimulatedRequest[] requests, int index) => _time.At(requests[index].ArrivedAt, () =>
    {
        if (index + 1 < requests.Length) ScheduleArrival(requests, index + 1);
        _queue.Add(requests[index]);
        _window.OnAccepted(requests[index].PromptTokens, requests[index].OutputTokens, Now);
        _window.OnOpen(++_open, Now);
        Dispatch();
    });

    private void OnEnded(SimulatedRequest request)
    {
        _window.OnEnded(request.OutputTokens, Now);
        _window.OnOpen(--_open, Now);
    }

    private void Requeue(IEnumerable<SimulatedRequest> requests)
    {
        foreach (var request in requests) _queue.Add(request);
        // Whoever gives requests back is in the midst of something.
        _time.At(_time.Now, Dispatch);
    }

    /// <summary>The replica with the fewest sequences takes the next request.</summary>
    private void Dispatch()
    {
        if (_dispatching || _queue.Count == 0) return;
        _dispatching = true;
        while (_queue.Count > 0)
        {
            var next = _queue.Min!;
            ContinuousReplica? least = null;
            foreach (var replica in Cluster.Accepting)
            {
                if ((least is null || replica.Count < least.Count) && replica.HasRoomFor(next)) least = replica;
                if (least is { Count: 0 }) break;
            }

            if (least is null) break;
            _queue.Remove(next);
            least.Admit(next);
        }

        _dispatching = false;
    }

    private GatewayDemand Demand()
    {
        if (_time.Now < RateSeconds && _setup.RateAtStart is { } rate)
            return new GatewayDemand(rate, _setup.PromptTokens, _setup.OutputTokens, _queue.Count);
        return _window.Demand(_queue.Count, Now);
    }
}
