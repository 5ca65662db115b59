namespace SpotServe.Actors.Execution;

/// <summary>A data-plane peer closed its connection or broke the protocol. The epoch cannot go on.</summary>
public sealed class PeerLostException(string peer, string reason, Exception? inner = null)
    : Exception($"Lost data-plane peer {peer}: {reason}", inner)
{
    public string Peer { get; } = peer;

    /// <summary>Name of the peer's node, where that is known: the planner asks first whether it still lives.</summary>
    public string? Node { get; init; }

    /// <summary>Nothing came from it in time. False when it closed a link, as those do that lost another.</summary>
    public bool IsSilent { get; init; }
}

/// <summary>
/// The device or its engine failed (out of memory, driver error); only a new process can use it again.
/// </summary>
public sealed class EngineLostException(string message, Exception? inner = null) : Exception(message, inner);
