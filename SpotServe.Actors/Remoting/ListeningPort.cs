using System.Net.Sockets;
using Akka.Actor;

namespace SpotServe.Actors.Remoting;

/// <summary>Finds out whether a process still listens where one did.</summary>
internal static class ListeningPort
{
    /// <summary>Connections that are closed at once before the port is taken to be somebody's.</summary>
    private const int KnocksMax = 8;

    /// <summary>Whether the machine refuses connections to the address: it runs, and no process has the port. Says
    /// nothing to one that accepts. Never fails.</summary>
    /// <remarks>The system closes what a killed process had open one after the other, so that its port may still take
    /// a connection when another one has broken. It closes that one with the port; a process that lives waits for what
    /// is said.</remarks>
    /// <param name="waitMax">A machine that is gone does not answer at all; then it is not refused.</param>
    public static async Task<bool> IsRefusedAsync(Address address, TimeSpan waitMax)
    {
        if (address is not { Host: { } host, Port: { } port }) return false;
        using var limit = new CancellationTokenSource(waitMax);
        try
        {
            for (var knock = 0; knock < KnocksMax; knock++)
            {
                if (await KnockAsync(host, port, limit.Token).ConfigureAwait(false)) return true;
            }
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException)
        {
            // Nobody answers, or somebody waits for what is said.
        }

        return false;
    }

    /// <summary>Whether the machine refused; false once a connection that it took was closed.</summary>
    /// <exception cref="OperationCanceledException">Until the limit nobody answered, or it stayed open.</exception>
    /// <exception cref="SocketException">The address cannot be reached.</exception>
    private static async Task<bool> KnockAsync(string host, int port, CancellationToken limit)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(host, port, limit).ConfigureAwait(false);
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionRefused)
        {
            return true;
        }

        try
        {
            await socket.ReceiveAsync(new byte[1], limit).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            // The connection was reset.
        }

        return false;
    }
}
