using System.Net;
using System.Security.Cryptography;
using SpotServe.Actors.DataPlane;

namespace SpotServe.Actors.Remoting;

/// <summary>What the operator gave a process to prove membership with; names are those of the command line.</summary>
public sealed record AccessSettings
{
    /// <summary>Environment variable with the secret.</summary>
    public const string SecretVariable = "SPOTSERVE_SECRET";

    /// <summary>Its value; null or empty when unset.</summary>
    public string? SecretText { get; init; }

    /// <summary>A file with the secret, for those who would rather not have it in the environment.</summary>
    public string? SecretFile { get; init; }

    /// <summary>PEM files of the operator's own certificate, its key, and the authorities of all members.</summary>
    public string? CertificateFile { get; init; }

    public string? KeyFile { get; init; }

    public string? AuthorityFile { get; init; }

    /// <summary>Anybody who reaches the ports may do everything.</summary>
    public bool IsInsecure { get; init; }

    /// <summary>What nodes send each other of prompts, texts and weights is encrypted, too.</summary>
    public bool EncryptsData { get; init; }
}

/// <summary>How a process proves that it belongs to the cluster, and whom it takes for a member.</summary>
/// <param name="Secret">Of the data plane; null when the process has none of its own.</param>
/// <param name="Identity">Of the control plane; null: everybody is taken for a member, nothing is encrypted.</param>
public sealed record ClusterAccess(ClusterSecret? Secret, ClusterIdentity? Identity)
{
    /// <summary>What nodes prove to each other where nothing is to be proven.</summary>
    private const string NoSecret = "no secret: insecure";

    /// <summary>Whether the data plane is encrypted. Of a control node, which has none of its own: whether it takes
    /// only nodes whose data plane is.</summary>
    public bool EncryptsData { get; init; }

    /// <summary>What the data plane is encrypted with; null where it is not.</summary>
    public ClusterIdentity? DataIdentity => EncryptsData ? Identity : null;

    /// <summary>Everybody is a member.</summary>
    public static ClusterAccess Open { get; } = new(new ClusterSecret(NoSecret), null);

    /// <summary>In a few words, for people.</summary>
    public string Description => Identity is null ? "open to everybody, not encrypted" : $"TLS, {Identity.Means}";

    /// <summary>The secret alone, on both planes.</summary>
    public static ClusterAccess Of(ClusterSecret secret) => new(secret, ClusterIdentity.OfSecret(secret));

    /// <summary>Checks what was given and reads the files.</summary>
    /// <returns>Null when nothing was given, which the caller may allow on this machine's own addresses.</returns>
    /// <exception cref="ArgumentException">It is contradictory, or a file is no use; the message is for the
    /// user.</exception>
    public static ClusterAccess? Read(AccessSettings settings)
    {
        var text = string.IsNullOrEmpty(settings.SecretText) ? null : settings.SecretText;
        if (text is not null && settings.SecretFile is not null)
            throw Wrong($"{AccessSettings.SecretVariable} and --secret-file are both given: keep one.");
        text ??= settings.SecretFile is { } file ? ReadSecret(file) : null;
        string?[] files = [settings.CertificateFile, settings.KeyFile, settings.AuthorityFile];
        var filesGiven = files.Count(name => name is not null);
        if (settings.EncryptsData && text is null)
        {
            throw Wrong(
                "--data-tls encrypts with a key that follows from the cluster's secret, and there is none: set " +
                $"{AccessSettings.SecretVariable}, or give --secret-file.");
        }

        if (settings.IsInsecure)
        {
            return text is null && filesGiven == 0 ? Open : throw Wrong(
                "--insecure leaves the cluster open to everybody who reaches its ports, and a secret or certificate " +
                "is given as well: keep one of them.");
        }

        if (filesGiven is not 0 and not 3)
            throw Wrong("--tls-cert, --tls-key and --tls-ca go together: give all three or none.");
        if (text is null)
        {
            return filesGiven == 0 ? null : throw Wrong(
                "The certificates are for the control plane; the data plane needs a secret as well: set " +
                $"{AccessSettings.SecretVariable}, or give --secret-file.");
        }

        var secret = SecretOf(text, settings.SecretFile ?? AccessSettings.SecretVariable);
        var access = filesGiven == 0
            ? Of(secret)
            : new ClusterAccess(secret, ReadFiles(files[0]!, files[1]!, files[2]!));
        return access with { EncryptsData = settings.EncryptsData };
    }

    /// <summary>Whether only processes of this machine reach an address.</summary>
    public static bool IsLocal(string host) => host == "localhost"
        || (IPAddress.TryParse(host, out var address) && IPAddress.IsLoopback(address));

    private static string ReadSecret(string file)
    {
        try
        {
            return File.ReadAllText(file).Trim();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Wrong($"--secret-file {file} cannot be read: {error.Message}");
        }
    }

    private static ClusterSecret SecretOf(string text, string where)
    {
        try
        {
            return new ClusterSecret(text);
        }
        catch (ArgumentException error)
        {
            // Without the name of the parameter, which says nothing to the user.
            throw Wrong($"{where}: {error.Message.Split(" (Parameter")[0]}");
        }
    }

    private static ClusterIdentity ReadFiles(string certificate, string key, string authorities)
    {
        try
        {
            return ClusterIdentity.OfFiles(certificate, key, authorities);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or CryptographicException
            or ArgumentException)
        {
            throw Wrong($"--tls-cert {certificate}, --tls-key {key} or --tls-ca {authorities}: {error.Message}");
        }
    }

    private static ArgumentException Wrong(string message) => new(message);
}
