using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Gateway;

/// <summary>A gateway's word of itself, given every second.</summary>
/// <param name="HeardAt">When the planner was heard last; null when it never was.</param>
/// <param name="Open">Requests that are accepted, or about to be, and have not ended.</param>
public sealed record GatewayNote(DateTimeOffset At, DateTimeOffset? HeardAt, int Open, int OpenMax);

/// <summary>
/// The latest view of the cluster in this process, for readers outside the actor system (HTTP, console). Written by
/// the gateway actor only; readers see whole, immutable views.
/// </summary>
public sealed class ClusterBoard
{
    private volatile ClusterProtocol.PlannerView? _view;
    private volatile GatewayNote? _note;

    /// <summary>Null until the planner has been heard.</summary>
    public ClusterProtocol.PlannerView? View => _view;

    /// <summary>Raised on the gateway's thread after each change: return quickly.</summary>
    public event Action<ClusterProtocol.PlannerView>? Changed;

    /// <summary>What the gateway said of itself last; null until it has started.</summary>
    public GatewayNote? Gateway => _note;

    internal void Note(GatewayNote note) => _note = note;

    internal void Show(ClusterProtocol.PlannerView view)
    {
        _view = view;
        Changed?.Invoke(view);
    }
}
