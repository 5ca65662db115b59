using System.CommandLine;

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

    public IEnumerable<Option> All => [Grace, NoticeFile, RejoinMax];
}
