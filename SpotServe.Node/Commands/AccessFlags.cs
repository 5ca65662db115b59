using System.CommandLine;
using SpotServe.Actors.Remoting;
using SpotServe.Node.Hosting;

namespace SpotServe.Node.Commands;

/// <summary>Options that say what this node proves its membership with.</summary>
internal sealed class AccessFlags
{
    private Option<string?> SecretFile { get; } = new("--secret-file")
    {
        Description = $"File with the cluster's secret (or {AccessSettings.SecretVariable}).",
        HelpName = "FILE",
    };

    private Option<string?> Certificate { get; } = new("--tls-cert")
    {
        Description = "Your own certificate for the control plane (PEM), in place of one that the secret gives.",
        HelpName = "FILE",
    };

    private Option<string?> Key { get; } = new("--tls-key")
    {
        Description = "Its private key (PEM).",
        HelpName = "FILE",
    };

    private Option<string?> Authority { get; } = new("--tls-ca")
    {
        Description = "Authorities (PEM): whoever has a certificate of theirs is a member.",
        HelpName = "FILE",
    };

    private Option<bool> Insecure { get; } = new("--insecure")
    {
        Description = "Join a cluster that was started with --insecure, which has no secret.",
    };

    public IEnumerable<Option> All => [SecretFile, Certificate, Key, Authority, Insecure];

    /// <exception cref="UsageException">It is contradictory, or nothing was given.</exception>
    public ClusterAccess Read(ParseResult parsed)
    {
        try
        {
            return ClusterAccess.Read(new AccessSettings
            {
                SecretText = Environment.GetEnvironmentVariable(AccessSettings.SecretVariable),
                SecretFile = parsed.GetValue(SecretFile),
                CertificateFile = parsed.GetValue(Certificate),
                KeyFile = parsed.GetValue(Key),
                AuthorityFile = parsed.GetValue(Authority),
                IsInsecure = parsed.GetValue(Insecure),
            }) ?? throw new UsageException(
                $"Set {AccessSettings.SecretVariable} to the cluster's secret, or give --secret-file FILE: a text of " +
                "your own, the same on every node (--insecure: the cluster has none).");
        }
        catch (ArgumentException error)
        {
            throw new UsageException(error.Message);
        }
    }
}
