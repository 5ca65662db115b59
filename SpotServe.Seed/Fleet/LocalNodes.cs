using SpotServe.Actors.Cluster;

namespace SpotServe.Seed.Fleet;

/// <summary>
/// What a person may do to the node processes of this machine. Without a local fleet there is nothing to do: nodes are
/// other machines' processes.
/// </summary>
internal sealed class LocalNodes
{
    private volatile LocalFleet? _fleet;

    /// <summary>Whether this process has a fleet of its own.</summary>
    public bool IsLocal => _fleet is not null;

    /// <summary>From now on the fleet's processes can be killed.</summary>
    public void Attach(LocalFleet fleet) => _fleet = fleet;

    /// <summary>Whether the node is a process of this fleet that runs.</summary>
    public bool Has(NodeInfo node) => Find(node) is not null;

    /// <summary>Ends the node's process without notice (SIGKILL).</summary>
    /// <returns>Null when it was done, else why not.</returns>
    public string? Kill(NodeInfo node)
    {
        if (_fleet is null) return "This cluster's nodes are not processes of this machine.";
        if (Find(node) is not { } process) return $"The process of {node.Node} has ended, or is another machine's.";
        process.Kill(asIfByAccident: true);
        return null;
    }

    private LocalNode? Find(NodeInfo node) =>
        _fleet?.Running.FirstOrDefault(running => running.ProcessId == node.ProcessId);
}
