using System.Collections.Immutable;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Hosting;

namespace SpotServe.Seed.Fleet;

/// <summary>Which machines of EC2 a fleet may have: the file of --fleet-file, in snake case.</summary>
/// <param name="Cluster">Tag of this cluster's machines.</param>
/// <param name="Region">E.g. "us-east-1".</param>
/// <param name="LaunchTemplate">Id ("lt-...") or name: image, key, profile, security groups and user data are
/// there.</param>
/// <param name="Types">Instance types that serve alike.</param>
/// <param name="Subnets">By availability zone: the subnet for machines there.</param>
/// <param name="OnDemandPrices">By type, per hour; types without one are bought as spot machines only.</param>
/// <param name="MachinesMax">Of all machines at one time.</param>
internal sealed record Ec2Options(
    string Cluster,
    string Region,
    string LaunchTemplate,
    ImmutableArray<string> Types,
    ImmutableDictionary<string, string> Subnets,
    ImmutableDictionary<string, double> OnDemandPrices,
    int MachinesMax)
{
    private const int NameMax = 40;
    private const string CapacityOptimized = "capacity-optimized";
    private const string OnePool = "one-pool";

    /// <summary>Another address than the region's, for what speaks EC2's protocol elsewhere.</summary>
    public string? ServiceUrl { get; init; }

    public int? MachinesMin { get; init; }

    public double? PricePerHourMax { get; init; }

    /// <summary>Who chooses among spot pools that are about as good: "capacity-optimized", EC2 by where it has most
    /// machines; "one-pool", the fleet manager, by price.</summary>
    public string Allocation { get; init; } = CapacityOptimized;

    public ImmutableArray<MachinePool> Pools =>
    [
        .. from type in Types from zone in Subnets.Keys select new MachinePool(type, zone, IsSpot: true),
        .. from type in Types
           where OnDemandPrices.ContainsKey(type)
           from zone in Subnets.Keys
           select new MachinePool(type, zone, IsSpot: false),
    ];

    /// <exception cref="UsageException">The file cannot be read, or says what cannot be.</exception>
    public static Ec2Options Read(string file) => FleetFile.Read<Ec2Options>(file, read => read.Objection());

    /// <param name="nodes">What --nodes says.</param>
    /// <exception cref="UsageException">A limit is out of range.</exception>
    public FleetLimits Limits(int nodes, int spares) => FleetFile.Checked(() => new FleetLimits
    {
        Cluster = Cluster,
        Pools = Pools,
        MachinesMin = MachinesMin ?? nodes,
        MachinesMax = MachinesMax,
        PricePerHourMax = PricePerHourMax,
        LetsCloudChoose = Allocation == CapacityOptimized,
        Spares = spares,
    });

    private string? Objection() => this switch
    {
        // The token of an order is the cluster's name and a number; EC2 takes 64 characters.
        _ when Cluster.Length is 0 or > NameMax || !Cluster.All(c => char.IsAsciiLetterOrDigit(c) || c == '-') =>
            $"cluster is \"{Cluster}\"; it must be 1 to {NameMax} letters, digits and hyphens.",
        _ when Allocation is not (CapacityOptimized or OnePool) =>
            $"allocation is \"{Allocation}\"; it must be {CapacityOptimized} or {OnePool}.",
        _ when Region.Length == 0 => "region is empty; name one, e.g. us-east-1.",
        _ when LaunchTemplate.Length == 0 => "launch_template is empty; give its id (lt-...) or name.",
        _ when Types.IsDefaultOrEmpty => "types is empty; name at least one instance type.",
        _ when Subnets.IsEmpty => "subnets is empty; give at least one, as {\"us-east-1a\": \"subnet-...\"}.",
        _ when OnDemandPrices.Keys.Except(Types).FirstOrDefault() is { } type =>
            $"on_demand_prices has {type}, which is not among types.",
        _ when OnDemandPrices.Values.Any(price => price is not (> 0 and < 10_000)) =>
            "on_demand_prices must be above 0 and below 10000 an hour.",
        _ => null,
    };
}
