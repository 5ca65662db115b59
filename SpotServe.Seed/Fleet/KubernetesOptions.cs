using System.Collections.Immutable;
using k8s;
using k8s.Exceptions;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Hosting;

namespace SpotServe.Seed.Fleet;

/// <summary>Machines of one type, zone and market.</summary>
/// <param name="Type">Label node.kubernetes.io/instance-type of its nodes.</param>
/// <param name="Spot">The cloud may take them away.</param>
/// <param name="Price">Per hour, as you pay it.</param>
internal sealed record KubernetesPool(string Type, bool Spot, double Price)
{
    /// <summary>Label topology.kubernetes.io/zone; empty: any.</summary>
    public string Zone { get; init; } = "";

    /// <summary>Further labels of its nodes, such as the cloud's own for spot nodes.</summary>
    public ImmutableDictionary<string, string> NodeSelector { get; init; } =
        ImmutableDictionary<string, string>.Empty;

    public MachinePool Machines => new(Type, Zone, Spot);
}

/// <summary>Which pods a fleet may have: the file of --fleet-file, in snake case.</summary>
/// <param name="Cluster">Label of this cluster's pods, and the beginning of their names.</param>
/// <param name="PodTemplate">Name of the PodTemplate that nodes are made from.</param>
/// <param name="MachinesMax">Of all pods at one time.</param>
internal sealed record KubernetesOptions(
    string Cluster, string PodTemplate, ImmutableArray<KubernetesPool> Pools, int MachinesMax)
{
    // A pod's name is the cluster's and a number, and is a label's value, too: 63 characters.
    private const int NameMax = 40;
    private const double PriceMax = 10_000;
    private static readonly TimeSpan CallMax = TimeSpan.FromSeconds(20);

    /// <summary>Left out: that of the control node's own pod, or of the configuration file.</summary>
    public string? Namespace { get; init; }

    /// <summary>For a control node outside of the cluster; left out: its pod's service account.</summary>
    public string? Kubeconfig { get; init; }

    public int? MachinesMin { get; init; }

    public double? PricePerHourMax { get; init; }

    /// <exception cref="UsageException">The file cannot be read, or says what cannot be.</exception>
    public static KubernetesOptions Read(string file) =>
        FleetFile.Read<KubernetesOptions>(file, read => read.Objection());

    /// <exception cref="UsageException">There is no API server to speak to.</exception>
    public KubernetesCloud Open()
    {
        try
        {
            var config = Kubeconfig is null
                ? KubernetesClientConfiguration.InClusterConfig()
                : KubernetesClientConfiguration.BuildConfigFromConfigFile(Kubeconfig);
            config.HttpClientTimeout = CallMax;
            return new KubernetesCloud(new Kubernetes(config), this, Namespace ?? config.Namespace ?? "default");
        }
        catch (Exception error) when (error is KubeConfigException or IOException or UnauthorizedAccessException)
        {
            throw new UsageException(
                $"--fleet kubernetes cannot be used: {error.Message.TrimEnd('.')}. In a pod, give it a service " +
                "account (docs/clouds.md); elsewhere name a file as kubeconfig in --fleet-file.");
        }
    }

    /// <returns>Null for a pool that the file has no more.</returns>
    public KubernetesPool? PoolOf(MachinePool pool) => Pools.FirstOrDefault(known => known.Machines == pool);

    /// <param name="nodes">What --nodes says.</param>
    /// <exception cref="UsageException">A limit is out of range.</exception>
    public FleetLimits Limits(int nodes, int spares) => FleetFile.Checked(() => new FleetLimits
    {
        Cluster = Cluster,
        Pools = [.. Pools.Select(pool => pool.Machines)],
        MachinesMin = MachinesMin ?? nodes,
        MachinesMax = MachinesMax,
        PricePerHourMax = PricePerHourMax,
        Spares = spares,
    });

    private string? Objection() => this switch
    {
        _ when Cluster.Length is 0 or > NameMax || !char.IsAsciiLetterLower(Cluster[0])
            || !Cluster.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-') =>
            $"cluster is \"{Cluster}\"; it must be a small letter and up to {NameMax - 1} small letters, digits and " +
            "hyphens.",
        _ when PodTemplate.Length == 0 => "pod_template is empty; name the PodTemplate that nodes are made from.",
        _ when Pools.IsDefaultOrEmpty => "pools is empty; name at least one, with type, spot and price.",
        _ when Pools.Any(pool => pool is null) => "pools holds null.",
        _ when Pools.Any(pool => pool.Type.Length == 0) => "a pool's type is empty; name an instance type.",
        _ when Pools.Any(pool => pool.Price is not (> 0 and < PriceMax)) =>
            $"a pool's price must be above 0 and below {PriceMax:0} an hour.",
        _ when Pools.GroupBy(pool => pool.Machines).FirstOrDefault(same => same.Count() > 1) is { } twice =>
            $"pools has {twice.Key} twice.",
        _ => null,
    };
}
