using System.CommandLine;
using SpotServe.Actors.Remoting;
using SpotServe.Seed.Hosting;

namespace SpotServe.Seed.Commands;

/// <summary>Options that say who belongs to the cluster, and what a person is told of it.</summary>
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
        Description = "Run without a secret: whoever reaches the ports can do everything.",
    };

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[SecretFile, Certificate, Key, Authority, Insecure])
            command.Options.Add(option);
    }

    /// <exception cref="UsageException">It is contradictory, or nothing was given and others could reach the
    /// ports.</exception>
    public ClusterAccess Read(ParseResult parsed, string host)
    {
        ClusterAccess? access;
        try
        {
            access = ClusterAccess.Read(new AccessSettings
            {
                SecretText = Environment.GetEnvironmentVariable(AccessSettings.SecretVariable),
                SecretFile = parsed.GetValue(SecretFile),
                CertificateFile = parsed.GetValue(Certificate),
                KeyFile = parsed.GetValue(Key),
                AuthorityFile = parsed.GetValue(Authority),
                IsInsecure = parsed.GetValue(Insecure),
            });
        }
        catch (ArgumentException error)
        {
            throw new UsageException(error.Message);
        }

        if (access is not null) return access;
        return ClusterAccess.IsLocal(host) ? ClusterAccess.Open : throw new UsageException(
            $"Without a secret everybody who reaches {host} could read prompts and take the cluster over. Set " +
            $"{AccessSettings.SecretVariable} to a text of your own, the same on every node (openssl rand -hex 32 " +
            "makes one), or give --secret-file FILE; --insecure starts without.");
    }

    /// <summary>Which ports are open to whom.</summary>
    public static IEnumerable<string> Exposed(SeedHost seed, SeedOptions options)
    {
        var reach = ClusterAccess.IsLocal(options.Host) ? "this machine" : $"all who reach {options.Host}";
        yield return $"Open to {reach}:";
        yield return $"  HTTP {seed.HttpAddress.Port}: everybody; prompts, texts and /admin, not encrypted";
        yield return $"  control plane {seed.ClusterAddress.Port}: {options.ClusterAccess.Description}";
    }
}
