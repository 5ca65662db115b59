using System.Globalization;
using System.Net.Security;
using System.Numerics;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// What a process proves with that it belongs to the cluster, and what it takes for such a proof: a certificate with
/// its private key, and a test of the peer's certificate. Both ends of every control-plane connection show theirs, and
/// those of the data plane where that is encrypted, too.
/// </summary>
public sealed class ClusterIdentity
{
    /// <summary>
    /// Whoever connects sees the public key and can try secrets against it, so each try is made to cost a tenth of a
    /// second; a secret of 32 random bytes needs no such help.
    /// </summary>
    private const int Iterations = 50_000;

    /// <summary>A name has to be sent, and means nothing here.</summary>
    private const string PeerName = "spotserve";

    private const int ScalarBytes = 32;

    /// <summary>A third more than a scalar: the remainder below then favours no key measurably.</summary>
    private const int SeedBytes = 48;

    /// <summary>Order of the group of P-256.</summary>
    private static readonly BigInteger Order = BigInteger.Parse(
        "0FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551",
        NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private readonly Func<X509Certificate2, SslPolicyErrors, bool> _isMember;

    private ClusterIdentity(
        X509Certificate2 certificate,
        X509Certificate2Collection authorities,
        string means,
        Func<X509Certificate2, SslPolicyErrors, bool> isMember)
    {
        Means = means;
        Certificate = SslStreamCertificateContext.Create(certificate, additionalCertificates: null, offline: true);
        Authorities = authorities;
        _isMember = isMember;
    }

    /// <summary>What a member has and a stranger has not, in words.</summary>
    public string Means { get; }

    /// <summary>What this process shows.</summary>
    public SslStreamCertificateContext Certificate { get; }

    /// <summary>What a peer's certificate may be signed by; empty where the key alone counts.</summary>
    public X509Certificate2Collection Authorities { get; }

    /// <summary>
    /// A key pair that all who know the secret derive, and nobody else: a peer has to show a certificate of the same
    /// public key, and TLS has it prove that it has the private one. Times and names in certificates do not count, so
    /// clocks may differ and machines need no names.
    /// </summary>
    public static ClusterIdentity OfSecret(ClusterSecret secret)
    {
        ArgumentNullException.ThrowIfNull(secret);
        using var key = KeyOf(secret);
        var request = new CertificateRequest("CN=spotserve", key, HashAlgorithmName.SHA256);
        var certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, new DateTimeOffset(
            9999, 12, 31, 0, 0, 0, TimeSpan.Zero));
        var pinned = certificate.PublicKey.ExportSubjectPublicKeyInfo();
        return new ClusterIdentity(
            certificate,
            [],
            "the cluster's secret",
            (shown, _) => shown.PublicKey.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(pinned));
    }

    /// <summary>
    /// The operator's own: a peer has to show a certificate that one of the authorities signed and that is valid now,
    /// whatever name it has.
    /// </summary>
    /// <param name="certificate">PEM file; may hold the chain. For both server and client authentication.</param>
    /// <param name="key">PEM file of its private key, not encrypted.</param>
    /// <param name="authorities">PEM file of the authorities: whoever has a certificate of theirs is a member.</param>
    /// <exception cref="CryptographicException">A file holds no such thing.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static ClusterIdentity OfFiles(string certificate, string key, string authorities)
    {
        var trusted = new X509Certificate2Collection();
        trusted.ImportFromPemFile(authorities);
        if (trusted.Count == 0) throw new CryptographicException($"{authorities} holds no certificate.");
        return new ClusterIdentity(
            X509Certificate2.CreateFromPemFile(certificate, key),
            trusted,
            "a certificate of the cluster's authority",
            (_, errors) => (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None);
    }

    /// <summary>Whether a peer that has proven to have this certificate's key belongs to the cluster.</summary>
    public bool IsMember(X509Certificate? certificate, SslPolicyErrors errors) =>
        certificate is X509Certificate2 shown && _isMember(shown, errors);

    /// <summary>How this process begins TLS 1.3 with a peer: both show certificates, and no session is resumed, so that
    /// every connection is a proof of its own.</summary>
    /// <param name="onStranger">Called when the peer's certificate is no member's, before it is refused.</param>
    internal SslClientAuthenticationOptions ForDialler(Action onStranger) => new()
    {
        TargetHost = PeerName,
        ClientCertificateContext = Certificate,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false,
        CertificateChainPolicy = Policy(),
        RemoteCertificateValidationCallback = Check(onStranger),
    };

    /// <summary>The same for the side that was dialled.</summary>
    /// <param name="onStranger">Called when the peer's certificate is no member's, before it is refused.</param>
    internal SslServerAuthenticationOptions ForListener(Action onStranger) => new()
    {
        ServerCertificateContext = Certificate,
        ClientCertificateRequired = true,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false,
        AllowRenegotiation = false,
        CertificateChainPolicy = Policy(),
        RemoteCertificateValidationCallback = Check(onStranger),
    };

    private RemoteCertificateValidationCallback Check(Action onStranger) => (_, shown, _, errors) =>
    {
        if (IsMember(shown, errors)) return true;
        onStranger();
        return false;
    };

    /// <summary>Nothing is fetched at a stranger's wish: a certificate can name addresses to ask.</summary>
    private X509ChainPolicy Policy()
    {
        var policy = new X509ChainPolicy
        {
            DisableCertificateDownloads = true,
            RevocationMode = X509RevocationMode.NoCheck,
            TrustMode = X509ChainTrustMode.CustomRootTrust,
        };
        policy.CustomTrustStore.AddRange(Authorities);
        return policy;
    }

    private static ECDsa KeyOf(ClusterSecret secret)
    {
        var stretched = Rfc2898DeriveBytes.Pbkdf2(
            secret.Key, "spotserve control plane"u8, Iterations, HashAlgorithmName.SHA256, SeedBytes);
        var seed = HKDF.Expand(HashAlgorithmName.SHA256, stretched, SeedBytes, "P-256 key pair"u8.ToArray());
        var scalar = (new BigInteger(seed, isUnsigned: true, isBigEndian: true) % (Order - 1)) + 1;
        var bytes = scalar.ToByteArray(isUnsigned: true, isBigEndian: true);
        var d = new byte[ScalarBytes];
        bytes.CopyTo(d, ScalarBytes - bytes.Length);
        return ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, D = d });
    }
}
