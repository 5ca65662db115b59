using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Gateway;

/// <summary>
/// The latest view of the cluster in this process, for readers outside the actor system (HTTP, console). Written by
/// the gateway actor only; readers see whole, immutable views.
/// </summary>
public sealed class ClusterBoard
{
    private volatile ClusterProtocol.PlannerView? _view;

    /// <summary>Null until the planner has been heard.</summary>
    public ClusterProtocol.PlannerView? View => _view;

    /// <summary>Raised on the gateway's thread after each change: return quickly.</summary>
    public event Action<ClusterProtocol.PlannerView>? Changed;

    internal void Show(ClusterProtocol.PlannerView view)
    {
        _view = view;
        Changed?.Invoke(view);
    }
}
