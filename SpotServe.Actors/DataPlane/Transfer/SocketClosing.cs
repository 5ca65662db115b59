using System.Net.Sockets;

namespace SpotServe.Actors.DataPlane;

internal static class SocketClosing
{
    /// <summary>Closes at once, waking threads that block in a call of it: closing alone would wait for
    /// them.</summary>
    public static void Abandon(this Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // The peer or another thread was faster.
        }

        socket.Dispose();
    }
}
