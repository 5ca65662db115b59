using System.CommandLine;
using System.Globalization;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Seed.Hosting;

namespace SpotServe.Seed.Commands;

/// <summary>Options that say how weights and caches move, and from where.</summary>
internal sealed class PlannerFlags
{
    public Option<string> Migration { get; } = new("--migration")
    {
        Description = "copy: move weights and caches while the old layout serves; stop: stop it first (to compare).",
        HelpName = "copy|stop",
        DefaultValueFactory = _ => "copy",
    };

    public Option<double?> NetworkRate { get; } = new("--network-rate")
    {
        Description = "Gigabytes per second between two nodes, by which the planner chooses where weights come from; "
            + "without it, what nodes measure when they join.",
        HelpName = "GB/S",
    };

    public Option<double?> DiskRate { get; } = new("--disk-rate")
    {
        Description = "Gigabytes per second that a node reads from its model folder, for the same choice.",
        HelpName = "GB/S",
    };

    public void AddTo(Command command)
    {
        command.Options.Add(Migration);
        command.Options.Add(NetworkRate);
        command.Options.Add(DiskRate);
    }

    /// <exception cref="UsageException">An option is out of range.</exception>
    public MigrationMode ReadMigration(ParseResult parsed) => parsed.GetValue(Migration) switch
    {
        "copy" => MigrationMode.CopyWhileServing,
        "stop" => MigrationMode.StopThenMigrate,
        var other => throw new UsageException($"--migration is {other}; it must be copy or stop."),
    };

    /// <exception cref="UsageException">An option is out of range.</exception>
    public SourceRates ReadRates(ParseResult parsed) => new(
        BytesPerSecond("--network-rate", parsed.GetValue(NetworkRate)),
        BytesPerSecond("--disk-rate", parsed.GetValue(DiskRate)));

    private static double? BytesPerSecond(string option, double? gigabytes) => gigabytes switch
    {
        null => null,
        >= 0.001 and <= 1000 => gigabytes * 1e9,
        _ => throw new UsageException(string.Create(
            CultureInfo.InvariantCulture, $"{option} is {gigabytes}; it must be 0.001 to 1000 GB/s.")),
    };
}
