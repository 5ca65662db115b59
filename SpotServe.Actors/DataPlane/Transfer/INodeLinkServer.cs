using System.Net.Sockets;

namespace SpotServe.Actors.DataPlane;

/// <summary>Takes links of one kind that other nodes dial. Called by the listener's thread alone; must not
/// block.</summary>
internal interface INodeLinkServer
{
    /// <summary>Whether one more can be taken; may close one that nobody uses.</summary>
    bool HasRoom();

    /// <summary>Takes over a connection whose handshake is done.</summary>
    void Take(Socket socket);
}
