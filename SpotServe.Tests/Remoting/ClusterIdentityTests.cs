using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Remoting;
using Xunit;

namespace SpotServe.Tests.Remoting;

public sealed class ClusterIdentityTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("spotserve-tls-");

    public void Dispose() => _folder.Delete(recursive: true);

    /// <summary>Processes of different builds derive the same key, or an upgrade would split the cluster.</summary>
    [Fact]
    public void Key_pair_follows_from_the_secret_for_all_time()
    {
        var key = ClusterIdentity.OfSecret(new ClusterSecret("correct horse battery")).Certificate.TargetCertificate;

        Assert.Equal(
            "278A4352",
            Convert.ToHexString(SHA256.HashData(key.PublicKey.ExportSubjectPublicKeyInfo()), 0, 4));
    }

    [Fact]
    public void Same_secret_is_a_member_and_another_is_none()
    {
        var one = ClusterIdentity.OfSecret(new ClusterSecret("correct horse battery"));
        var same = ClusterIdentity.OfSecret(new ClusterSecret("correct horse battery"));
        var other = ClusterIdentity.OfSecret(new ClusterSecret("correct horse batterz"));

        Assert.True(one.IsMember(same.Certificate.TargetCertificate, SslPolicyErrors.RemoteCertificateChainErrors));
        Assert.False(one.IsMember(other.Certificate.TargetCertificate, SslPolicyErrors.None));
        Assert.False(one.IsMember(null, SslPolicyErrors.None));
    }

    [Fact]
    public async Task Own_certificates_count_when_the_authority_signed_them_and_they_are_valid()
    {
        var authority = Authority("CN=ours");
        var ours = Identity("node", authority, authority, DateTimeOffset.UtcNow.AddDays(1));
        var peer = Identity("peer", authority, authority, DateTimeOffset.UtcNow.AddDays(1));
        var expired = Identity("old", authority, authority, DateTimeOffset.UtcNow.AddMinutes(-1));
        var stranger = Identity("other", Authority("CN=ours"), authority, DateTimeOffset.UtcNow.AddDays(1));
        await using var one = new RemoteSystem(ours);

        await using var member = new RemoteSystem(peer);
        Assert.Equal("in", await member.AskAsync(one, "in"));
        await AssertRefusedAsync(expired);
        await AssertRefusedAsync(stranger);
        await AssertRefusedAsync(ClusterIdentity.OfSecret(new ClusterSecret("correct horse battery")));

        async Task AssertRefusedAsync(ClusterIdentity identity)
        {
            await using var other = new RemoteSystem(identity);
            await Assert.ThrowsAsync<Akka.Actor.AskTimeoutException>(
                () => other.AskAsync(one, "in", TimeSpan.FromSeconds(3)));
        }
    }

    [Theory]
    [InlineData("a secret text", null, false, false, "secret")]
    [InlineData(null, "the secret in a file\n", false, false, "secret")]
    [InlineData(null, null, false, false, null)]
    [InlineData("", null, false, false, null)]
    [InlineData(null, null, true, false, "open")]
    [InlineData("a secret text", null, true, false, "--insecure")]
    [InlineData("a secret text", "and a file", false, false, "--secret-file")]
    [InlineData("short", null, false, false, "SPOTSERVE_SECRET")]
    [InlineData(null, "short\n", false, false, "8")]
    [InlineData("a secret text", null, false, true, "--tls-key")]
    public void What_was_given_makes_a_proof_or_a_line_that_says_what_is_wrong(
        string? text, string? inFile, bool isInsecure, bool hasCertificate, string? expected)
    {
        var file = Path.Combine(_folder.FullName, "secret");
        if (inFile is not null) File.WriteAllText(file, inFile);
        var settings = new AccessSettings
        {
            SecretText = text,
            SecretFile = inFile is null ? null : file,
            IsInsecure = isInsecure,
            CertificateFile = hasCertificate ? file : null,
        };

        string? got;
        try
        {
            got = ClusterAccess.Read(settings)?.Description;
        }
        catch (ArgumentException error)
        {
            got = error.Message;
        }

        if (expected is null) Assert.Null(got);
        else Assert.Contains(expected, got, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Data_plane_is_encrypted_with_what_the_control_plane_proves_and_never_without_a_secret(bool isInsecure)
    {
        var settings = new AccessSettings { EncryptsData = true };

        var access = ClusterAccess.Read(settings with { SecretText = "a secret text" })!;
        var refusal = Assert.Throws<ArgumentException>(
            () => ClusterAccess.Read(settings with { IsInsecure = isInsecure }));

        Assert.NotNull(access.DataIdentity);
        Assert.Same(access.Identity, access.DataIdentity);
        Assert.Null(ClusterAccess.Read(new AccessSettings { SecretText = "a secret text" })!.DataIdentity);
        Assert.Contains("--data-tls", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("SPOTSERVE_SECRET", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("127.0.0.1", true)]
    [InlineData("127.3.2.1", true)]
    [InlineData("::1", true)]
    [InlineData("localhost", true)]
    [InlineData("0.0.0.0", false)]
    [InlineData("10.0.0.1", false)]
    [InlineData("gpu.example", false)]
    public void Addresses_of_this_machine_alone_are_told_from_others(string host, bool isLocal) =>
        Assert.Equal(isLocal, ClusterAccess.IsLocal(host));

    private static X509Certificate2 Authority(string name)
    {
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-2), DateTimeOffset.UtcNow.AddDays(2));
    }

    private ClusterIdentity Identity(
        string name, X509Certificate2 signedBy, X509Certificate2 trusts, DateTimeOffset until)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        using var certificate = request.Create(
            signedBy, DateTimeOffset.UtcNow.AddDays(-1), until, RandomNumberGenerator.GetBytes(8));
        string Write(string file, string pem)
        {
            var path = Path.Combine(_folder.FullName, $"{name}-{file}");
            File.WriteAllText(path, pem);
            return path;
        }

        return ClusterIdentity.OfFiles(
            Write("cert.pem", certificate.ExportCertificatePem()),
            Write("key.pem", key.ExportPkcs8PrivateKeyPem()),
            Write("ca.pem", trusts.ExportCertificatePem()));
    }
}
