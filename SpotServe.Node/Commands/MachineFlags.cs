using System.CommandLine;
using System.Globalization;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Hosting;
using SpotServe.Node.Hosting;

namespace SpotServe.Node.Commands;

/// <summary>Options that say what the machine is to its cloud: layouts are chosen by price, and machines that cost more
/// are given back first.</summary>
internal sealed class MachineFlags
{
    private const double PriceMax = 10_000;
    private const int NameMax = 64;

    private Option<string> InstanceType { get; } = new("--instance-type")
    {
        Description = "The machine's type as its cloud calls it, e.g. g4dn.12xlarge.",
        HelpName = "NAME",
        DefaultValueFactory = _ => "",
    };

    private Option<double> Price { get; } = new("--price")
    {
        Description = "Price of the machine per hour, in any currency; all nodes in the same one.",
        HelpName = "AMOUNT",
    };

    private Option<bool> OnDemand { get; } = new("--on-demand") { Description = "The cloud does not take it away." };

    private Option<bool> Spot { get; } = new("--spot")
    {
        Description = "The cloud may take it away at any time (the default).",
    };

    private Option<string> Zone { get; } = new("--zone")
    {
        Description = "Where it stands, e.g. us-east-1a.",
        HelpName = "NAME",
        DefaultValueFactory = _ => "",
    };

    private Option<string> InstanceId { get; } = new("--instance-id")
    {
        Description = "The machine itself as its cloud calls it, by which a fleet manager knows it: an EC2 "
            + "instance's id, a pod's name.",
        HelpName = "ID",
        DefaultValueFactory = _ => "",
    };

    private Option<string?> Cache { get; } = new("--cache")
    {
        Description = "Folder that keeps what devices measured of themselves (default: ~/.cache/spotserve).",
        HelpName = "DIR",
    };

    private Option<string?> Speed { get; } = new("--speed")
    {
        Description = "What each device does, in place of measuring it: GB/s that a matrix-vector product reads, "
            + "GFLOP/s, and microseconds of a layer beside both. Example: 20,150,30.",
        HelpName = "GBPS,GFLOPS,US",
    };

    public IEnumerable<Option> All =>
        [InstanceType, InstanceId, Price, OnDemand, Spot, Zone, Cache, Speed];

    /// <summary>Null: devices measure themselves.</summary>
    /// <exception cref="UsageException">It is not three numbers that can be planned with.</exception>
    public DeviceSpeed? ReadSpeed(ParseResult parsed)
    {
        if (parsed.GetValue(Speed) is not { } text) return null;
        var parts = text.Split(',', StringSplitOptions.TrimEntries);
        var numbers = new double[3];
        for (var i = 0; i < 3; i++)
        {
            if (parts.Length != 3
                || !double.TryParse(parts[i], NumberStyles.Float, CultureInfo.InvariantCulture, out numbers[i])
                || !(numbers[i] is > 0 and <= 1e9))
            {
                throw new UsageException(
                    $"--speed is {text}; it must be three numbers above 0: GB/s, GFLOP/s, microseconds of a layer.");
            }
        }

        return new DeviceSpeed($"stated {text}", numbers[0] * 1e9, numbers[1] * 1e9, numbers[2] * 1e-6);
    }

    /// <exception cref="UsageException">An option is out of range, or two contradict each other.</exception>
    public MachineInfo Read(ParseResult parsed)
    {
        if (parsed.GetValue(OnDemand) && parsed.GetValue(Spot))
            throw new UsageException("--spot and --on-demand are both given: a machine is one of them.");
        var price = parsed.GetValue(Price);
        return price is >= 0 and <= PriceMax
            ? new MachineInfo(
                Name("--instance-type", parsed.GetValue(InstanceType)!), price, !parsed.GetValue(OnDemand),
                Name("--zone", parsed.GetValue(Zone)!))
            {
                InstanceId = Name("--instance-id", parsed.GetValue(InstanceId)!),
            }
            : throw new UsageException(FormattableString.Invariant(
                $"--price is {price}; it must be 0 to {PriceMax:0} per hour."));
    }

    public string ReadCache(ParseResult parsed) =>
        Path.GetFullPath(parsed.GetValue(Cache) ?? SpeedCache.DefaultFolder);

    private static string Name(string option, string value) =>
        value.Length <= NameMax && value.All(c => c is > ' ' and <= '~')
            ? value
            : throw new UsageException(
                $"{option} is \"{value}\"; it must be at most {NameMax} printable characters without spaces.");
}
