namespace SpotServe.Actors.DataPlane;

/// <summary>What a node proves on each link, and whether what follows is encrypted.</summary>
/// <param name="Secret">Proven by the handshake, on every link.</param>
/// <param name="Identity">Proven by TLS, which begins after the handshake; null leaves links unencrypted.</param>
internal sealed record LinkCredentials(ClusterSecret Secret, ClusterIdentity? Identity = null)
{
    public bool IsEncrypted => Identity is not null;

    /// <summary>Why two nodes cannot connect, or null: one that encrypts never talks to one that does not, whoever
    /// of them or between them would rather have it so.</summary>
    /// <param name="hello">What the peer began the handshake with.</param>
    public string? Mismatch(ReadOnlySpan<byte> hello) => (IsEncrypted, Handshake.IsEncrypted(hello)) switch
    {
        (true, false) => "this node encrypts its data plane and the other does not: " + Cure,
        (false, true) => "this node does not encrypt its data plane and the other does: " + Cure,
        _ => null,
    };

    private const string Cure = "start every node with --data-tls, or none";
}
