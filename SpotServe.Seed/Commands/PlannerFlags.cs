using System.CommandLine;
using System.Globalization;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Planning;

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

    public Option<string?> Objective { get; } = new("--objective")
    {
        Description = "What layouts are chosen for, by the load: latency, throughput or slo; without it, one replica "
            + "over all devices.",
        HelpName = "latency|throughput|slo",
    };

    public Option<double> SloSeconds { get; } = new("--slo-seconds")
    {
        Description = "Objective slo: time in which a request is to be answered.",
        DefaultValueFactory = _ => 10,
    };

    public Option<double> SloShare { get; } = new("--slo-share")
    {
        Description = "Objective slo: share of requests that are to meet it.",
        DefaultValueFactory = _ => 0.99,
    };

    public Option<int> Spares { get; } = new("--spares")
    {
        Description = "Machines that the wish for machines (GET /admin/fleet) keeps beside those that the load needs.",
        HelpName = "N",
    };

    public void AddTo(Command command)
    {
        command.Options.Add(Spares);
        command.Options.Add(Migration);
        command.Options.Add(Objective);
        command.Options.Add(SloSeconds);
        command.Options.Add(SloShare);
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
    public LayoutObjective? ReadObjective(ParseResult parsed)
    {
        var (seconds, share) = (parsed.GetValue(SloSeconds), parsed.GetValue(SloShare));
        if (seconds is not (>= 0.01 and <= 3600))
            throw new UsageException($"--slo-seconds is {seconds}; it must be 0.01 to 3600.");
        if (share is not (>= 0.5 and <= 0.9999))
            throw new UsageException($"--slo-share is {share}; it must be 0.5 to 0.9999.");
        return parsed.GetValue(Objective) switch
        {
            null => null,
            "latency" => new LayoutObjective(Actors.Planning.Objective.Latency),
            "throughput" => new LayoutObjective(Actors.Planning.Objective.Throughput),
            "slo" => new LayoutObjective(Actors.Planning.Objective.Slo)
            {
                SloTarget = TimeSpan.FromSeconds(seconds),
                SloShare = share,
            },
            var other => throw new UsageException(
                $"--objective is {other}; it must be latency, throughput or slo."),
        };
    }

    /// <exception cref="UsageException">An option is out of range.</exception>
    public FleetRules ReadFleet(ParseResult parsed) => parsed.GetValue(Spares) is var spares and >= 0 and <= 1024
        ? new FleetRules { Spares = spares }
        : throw new UsageException($"--spares is {parsed.GetValue(Spares)}; it must be 0 to 1024.");

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
