using System.Net.Sockets;
using Akka.Actor;

namespace SpotServe.Actors.Remoting;

/// <summary>Finds out whether a process still listens where one did.</summary>
internal static class ListeningPort
{
    /// <summary>Whether the machine refuses connections to the address: it runs, and no process has the port. Says
    /// nothing to one that accepts. Never fails.</summary>
    /// <param name="waitMax">A machine that is gone does not answer at all; then it is not refused.</param>
    public static async Task<bool> IsRefusedAsync(Address address, TimeSpan waitMax)
    {
        if (address is not { Host: { } host, Port: { } port }) return false;
        using var limit = new CancellationTokenSource(waitMax);
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(host, port, limit.Token).ConfigureAwait(false);
            return false;
        }
        catch (SocketException error)
        {
            return error.SocketErrorCode == SocketError.ConnectionRefused;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
