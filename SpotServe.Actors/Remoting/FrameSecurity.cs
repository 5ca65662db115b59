using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using SpotServe.Actors.DataPlane;

namespace SpotServe.Actors.Remoting;

/// <summary>The peer has proven that it is no member of this cluster, or takes this process for none.</summary>
internal sealed class PeerRefusedException(string message, Exception? inner = null)
    : AuthenticationException(message, inner);

/// <summary>
/// Turns a connected socket into a stream whose both ends have proven that they belong to the cluster: TLS 1.3 with
/// certificates on both sides, never resumed, so that every connection is a proof of its own. Without an identity the
/// socket itself is the stream.
/// </summary>
internal sealed class FrameSecurity(ClusterIdentity? identity)
{
    /// <exception cref="PeerRefusedException">The peer has another secret or certificate.</exception>
    public async Task<Stream> ConnectAsync(Socket socket, CancellationToken cancel)
    {
        var plain = Plain(socket);
        if (identity is null) return plain;
        var isStranger = false;
        var stream = new SslStream(plain);
        try
        {
            await stream.AuthenticateAsClientAsync(identity.ForDialler(() => isStranger = true), cancel)
                .ConfigureAwait(false);
            return stream;
        }
        catch (AuthenticationException error) when (isStranger)
        {
            throw new PeerRefusedException($"it does not prove that it has {identity.Means}", error);
        }
    }

    /// <exception cref="PeerRefusedException">The peer has another secret or certificate.</exception>
    public async Task<Stream> AcceptAsync(Socket socket, CancellationToken cancel)
    {
        var plain = Plain(socket);
        if (identity is null) return plain;
        var isStranger = false;
        var stream = new SslStream(plain);
        try
        {
            await stream.AuthenticateAsServerAsync(identity.ForListener(() => isStranger = true), cancel)
                .ConfigureAwait(false);
            return stream;
        }
        catch (AuthenticationException error) when (isStranger)
        {
            throw new PeerRefusedException($"it does not prove that it has {identity.Means}", error);
        }
    }

    /// <summary>Whether a peer or the network caused it, so that it costs this one connection and nothing
    /// else.</summary>
    public static bool IsPeersFault(Exception error) => error is IOException or SocketException
        or AuthenticationException or OperationCanceledException or ObjectDisposedException
        or System.Security.Cryptography.CryptographicException;

    /// <summary>For people; one line.</summary>
    public static string Say(Exception error) => error switch
    {
        PeerRefusedException => error.Message,
        OperationCanceledException => "it did not answer in time",
        AuthenticationException or IOException { InnerException: not SocketException } =>
            "it speaks no TLS as this cluster does; has it a secret, or does it run with --insecure?",
        _ => error.Message,
    };

    private static NetworkStream Plain(Socket socket)
    {
        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        return new NetworkStream(socket, ownsSocket: true);
    }
}
