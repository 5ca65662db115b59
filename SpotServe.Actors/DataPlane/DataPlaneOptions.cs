using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace SpotServe.Actors.DataPlane;

/// <summary>What all nodes of a cluster share and nobody else knows. Never printed, never sent.</summary>
public sealed class ClusterSecret
{
    public const int CharactersMin = 8;

    private readonly byte[] _key;

    /// <exception cref="ArgumentException">The text is shorter than <see cref="CharactersMin"/>.</exception>
    public ClusterSecret(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length < CharactersMin)
        {
            throw new ArgumentException(
                $"The cluster secret has {text.Length} characters; give at least {CharactersMin}.", nameof(text));
        }

        _key = Encoding.UTF8.GetBytes(text);
    }

    internal ReadOnlySpan<byte> Key => _key;

    /// <summary>
    /// Tells whether two processes have the same secret, and gives no way back to a good one. May be sent.
    /// </summary>
    public string Mark => Convert.ToHexString(HMACSHA256.HashData(_key, "spotserve secret mark"u8), 0, 8);

    public override string ToString() => "(secret)";
}

/// <summary>Where and how a node's data plane listens, and its bounds.</summary>
public sealed record DataPlaneOptions
{
    public required ClusterSecret Secret { get; init; }

    /// <summary>What links are encrypted with, by TLS; null (the default) leaves them as they are. The same on all
    /// nodes, or they refuse each other.</summary>
    public ClusterIdentity? Identity { get; init; }

    /// <summary>Address to bind; port 0 lets the system choose.</summary>
    public required IPEndPoint Listen { get; init; }

    /// <summary>Most time from accepting a connection to its proof of the secret; default 5 s.</summary>
    public TimeSpan HandshakeTimeout
    {
        get;
        init => field = Bounds.Positive(value, TimeSpan.FromMinutes(1));
    } = TimeSpan.FromSeconds(5);

    /// <summary>Most connections in the middle of a handshake; the oldest makes room. Default 64.</summary>
    public int HandshakesMax
    {
        get;
        init => field = Bounds.Between(value, 1, 4096);
    } = 64;

    /// <summary>Most time that a proven connection waits to be expected; default 30 s.</summary>
    public TimeSpan EarlyTimeout
    {
        get;
        init => field = Bounds.Positive(value, TimeSpan.FromMinutes(10));
    } = TimeSpan.FromSeconds(30);

    /// <summary>Most proven connections that wait to be expected; others are told to try again. Default 256.</summary>
    public int EarlyMax
    {
        get;
        init => field = Bounds.Between(value, 1, 16_384);
    } = 256;

    internal LinkCredentials Credentials => new(Secret, Identity);

    /// <summary>Bounds of bulk transfers.</summary>
    public TransferOptions Transfer { get; init; } = new();

    /// <summary>How far bulk transfers may slow decoding.</summary>
    public TransferPacerOptions Pacing { get; init; } = new();

    /// <summary>How a lost node is found.</summary>
    public HeartbeatOptions Heartbeat { get; init; } = new();
}

/// <summary>Something of an epoch was asked for after a newer one had begun.</summary>
internal sealed class StaleEpochException(Epoch asked, Epoch current)
    : Exception($"Epoch {asked} is over; the data plane is at {current}.");
