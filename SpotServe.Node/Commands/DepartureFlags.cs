using System.CommandLine;
using SpotServe.Actors.Hosting;
using SpotServe.Node.Preemption.Clouds;

namespace SpotServe.Node.Commands;

/// <summary>Options that say how a node goes, and for how long it tries to come back.</summary>
internal sealed class DepartureFlags
{
    public Option<double> Grace { get; } = new("--grace")
    {
        Description = "Seconds from SIGTERM to the machine's end, in which its work moves; 0: SIGTERM stops at once.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => 30,
    };

    public Option<string?> NoticeFile { get; } = new("--notice-file")
    {
        Description = "A file whose appearance means that this machine goes; it holds the seconds left or an ISO time.",
        HelpName = "PATH",
    };

    public Option<double> RejoinMax { get; } = new("--rejoin-max")
    {
        Description = "Seconds for which a node that lost its cluster tries to join again.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => 600,
    };

    public Option<string> Cloud { get; } = new("--cloud")
    {
        Description = "Whose notices are listened to: auto (asks the metadata services), aws, azure, gcp or none.",
        HelpName = "NAME",
        DefaultValueFactory = _ => "auto",
    };

    public Option<string?> Metadata { get; } = new("--metadata")
    {
        Description = "Where the cloud's metadata service answers, if not at the cloud's own address.",
        HelpName = "URL",
    };

    public IEnumerable<Option> All => [Grace, NoticeFile, RejoinMax, Cloud, Metadata];

    /// <returns>Null: to be found out.</returns>
    /// <exception cref="UsageException">No such cloud.</exception>
    public CloudKind? ReadCloud(ParseResult parsed) => parsed.GetValue(Cloud) switch
    {
        "auto" => null,
        "aws" => CloudKind.Aws,
        "azure" => CloudKind.Azure,
        "gcp" => CloudKind.Gcp,
        "none" => CloudKind.None,
        var other => throw new UsageException($"--cloud is {other}; it must be auto, aws, azure, gcp or none."),
    };

    /// <exception cref="UsageException">No http address.</exception>
    public Uri? ReadMetadata(ParseResult parsed)
    {
        if (parsed.GetValue(Metadata) is not { } text) return null;
        return Uri.TryCreate(text, UriKind.Absolute, out var address) && address.Scheme == Uri.UriSchemeHttp
            ? address
            : throw new UsageException(
                $"--metadata is {text}; it must be an address such as http://169.254.169.254/.");
    }
}
