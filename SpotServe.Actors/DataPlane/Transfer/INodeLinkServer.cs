namespace SpotServe.Actors.DataPlane;

/// <summary>Takes links of one kind that other nodes dial. Called by the listener's thread, and where links are
/// encrypted by one thread for each that comes up; must not block.</summary>
internal interface INodeLinkServer
{
    /// <summary>Whether one more can be taken; may close one that nobody uses.</summary>
    bool HasRoom();

    /// <summary>Takes over a connection that is ready for use. With TLS some time lies between the question for room
    /// and this, so that a few more than there was room for may come: no more than handshakes may be under
    /// way.</summary>
    void Take(ProvenSocket socket);
}
