using System.Net.Sockets;

namespace SpotServe.Actors.Remoting;

/// <summary>
/// Connections that have not proven anything yet: few, and for a short time. When too many knock, the oldest makes
/// room, which a member, whose handshake takes milliseconds, never is for long.
/// </summary>
internal sealed class ConnectionGate(FrameSecurity security, RefusalLog refusals) : IDisposable
{
    /// <summary>From the connection to the proof.</summary>
    public static readonly TimeSpan HandshakeMax = TimeSpan.FromSeconds(5);

    public const int HandshakesMax = 64;

    private readonly Lock _lock = new();
    private readonly LinkedList<CancellationTokenSource> _waiting = new();

    /// <summary>Takes the socket: it is closed, or its stream handed over, within <see cref="HandshakeMax"/>.</summary>
    public void Admit(Socket socket, Action<Stream> onProven)
    {
        var limit = new CancellationTokenSource(HandshakeMax);
        LinkedListNode<CancellationTokenSource> place;
        CancellationTokenSource? oldest = null;
        lock (_lock)
        {
            place = _waiting.AddLast(limit);
            if (_waiting.Count > HandshakesMax)
            {
                oldest = _waiting.First!.Value;
                _waiting.RemoveFirst();
            }
        }

        oldest?.Cancel();
        // The pool takes the handshake's arithmetic, so that accepting goes on.
        _ = Task.Run(() => ShakeHandsAsync(socket, place, limit, onProven));
    }

    public void Dispose()
    {
        CancellationTokenSource[] all;
        lock (_lock) all = [.. _waiting];
        foreach (var limit in all) limit.Cancel();
    }

    private async Task ShakeHandsAsync(
        Socket socket,
        LinkedListNode<CancellationTokenSource> place,
        CancellationTokenSource limit,
        Action<Stream> onProven)
    {
        var peer = "somebody";
        try
        {
            peer = $"{socket.RemoteEndPoint}";
            var stream = await security.AcceptAsync(socket, limit.Token).ConfigureAwait(false);
            onProven(stream);
        }
        catch (Exception error) when (FrameSecurity.IsPeersFault(error))
        {
            socket.Dispose();
            refusals.Warn($"Refused a connection from {peer}: {FrameSecurity.Say(error)}");
        }
        finally
        {
            lock (_lock)
            {
                if (place.List is not null) _waiting.Remove(place);
            }

            // Not disposed: the gate may be about to cancel it. It holds a timer only.
            limit.CancelAfter(Timeout.InfiniteTimeSpan);
        }
    }
}
