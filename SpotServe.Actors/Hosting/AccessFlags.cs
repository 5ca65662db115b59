using System.CommandLine;
using SpotServe.Actors.Remoting;

namespace SpotServe.Actors.Hosting;

/// <summary>Options that say what a process proves its membership with: the same for control nodes and nodes.</summary>
/// <param name="insecure">What --insecure means to the process.</param>
/// <param name="dataTls">What --data-tls means to the process.</param>
public sealed class AccessFlags(string insecure, string dataTls)
{
    /// <summary>Its name, for those who pass it on.</summary>
    public const string DataTlsName = "--data-tls";

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

    private Option<bool> Insecure { get; } = new("--insecure") { Description = insecure };

    private Option<bool> DataTls { get; } = new(DataTlsName) { Description = dataTls };

    public IEnumerable<Option> All => [SecretFile, Certificate, Key, Authority, Insecure, DataTls];

    /// <summary>Reads what was given, the secret also from the environment.</summary>
    /// <returns>Null when nothing was given.</returns>
    /// <exception cref="ArgumentException">It is contradictory, or a file is no use; the message is for the
    /// user.</exception>
    public ClusterAccess? Read(ParseResult parsed) => ClusterAccess.Read(new AccessSettings
    {
        SecretText = Environment.GetEnvironmentVariable(AccessSettings.SecretVariable),
        SecretFile = parsed.GetValue(SecretFile),
        CertificateFile = parsed.GetValue(Certificate),
        KeyFile = parsed.GetValue(Key),
        AuthorityFile = parsed.GetValue(Authority),
        IsInsecure = parsed.GetValue(Insecure),
        EncryptsData = parsed.GetValue(DataTls),
    });
}
