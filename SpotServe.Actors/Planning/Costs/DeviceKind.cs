using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>A type of accelerator, as a probe of the node measured it.</summary>
/// <param name="Name">E.g. "T4"; devices of one name are alike.</param>
/// <param name="MemoryBytes">Bytes that weights, KV pages and the migration buffer may take together.</param>
/// <param name="WeightBytesPerSecond">Rate at which a matrix-vector product reads weights.</param>
/// <param name="FlopsPerSecond">Rate of large matrix products.</param>
/// <param name="LayerOverheadSeconds">Time of a layer that depends on neither bytes nor tokens (launches, small
/// operations).</param>
/// <param name="PricePerHour">Of one device, in any currency.</param>
public sealed record DeviceKind(
    string Name,
    long MemoryBytes,
    double WeightBytesPerSecond,
    double FlopsPerSecond,
    double LayerOverheadSeconds,
    double PricePerHour)
{
    /// <summary>
    /// How many times the processor of their machine the devices of that machine would need to all run at their rate:
    /// 2 for four nodes of one thread on two cores. Up to 1 they do not slow each other down, as GPUs do not.
    /// </summary>
    public double Crowding { get; init; }

    /// <summary>Of their machine's processor that so many of all devices ask for; 1 where each has its own.</summary>
    /// <param name="share">Above 0, at most 1, spread evenly over the machines.</param>
    public double Demand(double share) => Crowding > 1 ? Crowding * share : 1;

    /// <summary>How many times as long its work takes while so many of all devices run.</summary>
    /// <param name="share">0 to 1, spread evenly over the machines.</param>
    public double Slowdown(double share) => Math.Max(1, Crowding * share);

    /// <exception cref="PlanningInputException">A rate or size is not a usable number.</exception>
    public void Require()
    {
        if (string.IsNullOrWhiteSpace(Name))
        {
            throw new PlanningInputException("A device kind's name", Name, "not empty");
        }

        Inputs.AtLeast(MemoryBytes, 1, $"Memory of {Name}");
        Inputs.Positive(WeightBytesPerSecond, $"Weight bandwidth of {Name}");
        Inputs.Positive(FlopsPerSecond, $"Arithmetic rate of {Name}");
        Inputs.NotNegative(LayerOverheadSeconds, $"Layer overhead of {Name}");
        Inputs.NotNegative(PricePerHour, $"Price of {Name}");
        Inputs.NotNegative(Crowding, $"Crowding of {Name}");
    }
}

/// <summary>A node's link, on which transfers go one after another.</summary>
public enum NodeLink
{
    /// <summary>Its network interface, sending.</summary>
    Out,

    /// <summary>Its network interface, receiving.</summary>
    In,

    /// <summary>Between its own devices.</summary>
    Within,

    /// <summary>Its local disk.</summary>
    Disk,

    /// <summary>From the model store to it.</summary>
    Store,
}

/// <summary>Rates of the ways between memories, in bytes per second, one way.</summary>
/// <param name="IntraNode">Between two devices of one node; shared by that node's copies.</param>
/// <param name="InterNode">A node's network interface, each way.</param>
/// <param name="Disk">A node's local disk; 0 when nodes keep no copy of the model.</param>
/// <param name="Store">The model store to one node; 0 when there is none.</param>
/// <param name="LatencySeconds">Before the first byte of a transfer, and of one hand-off between stages.</param>
public sealed record LinkRates(
    double IntraNode, double InterNode, double Disk, double Store, double LatencySeconds)
{
    /// <summary>g4dn.12xlarge as the paper's artifact reckons: 50 Gb/s within and between nodes.</summary>
    public static LinkRates Paper => new(6.25e9, 6.25e9, 0, 0, 0);

    public double RateOf(NodeLink link) => link switch
    {
        NodeLink.Out or NodeLink.In => InterNode,
        NodeLink.Within => IntraNode,
        NodeLink.Disk => Disk,
        NodeLink.Store => Store,
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    /// <summary>Time of a transfer from one node to another, or within one.</summary>
    public static double SecondsBetween(LinkRates from, LinkRates to, bool isWithin, long bytes) =>
        to.LatencySeconds + (bytes / (isWithin ? to.IntraNode : Math.Min(from.InterNode, to.InterNode)));

    /// <exception cref="PlanningInputException">A rate is negative or not a number.</exception>
    public void Require()
    {
        Inputs.Positive(IntraNode, "Bandwidth within a node");
        Inputs.Positive(InterNode, "Bandwidth between nodes");
        Inputs.NotNegative(Disk, "Bandwidth of the local disk");
        Inputs.NotNegative(Store, "Bandwidth of the model store");
        Inputs.NotNegative(LatencySeconds, "Link latency");
    }
}

/// <summary>A machine with accelerators of one kind.</summary>
/// <param name="Node">Unique name, the Node of its <see cref="DeviceId"/>s.</param>
public sealed record Instance(string Node, DeviceKind Kind, int DeviceCount)
{
    /// <summary>Devices that are planned for at most, in all.</summary>
    public const int DevicesMax = 65_535;

    /// <summary>Indices of its devices, rising, where some of them were lost; null: 0 to DeviceCount - 1.</summary>
    public ImmutableArray<int>? Indices { get; init; }

    /// <summary>Bytes that each of its devices may take, where that is not what its kind has.</summary>
    public long? MemoryBytes { get; init; }

    /// <summary>The machine that it is a part of, where several processes of one machine are instances of their own;
    /// null where it is the machine.</summary>
    public string? Host { get; init; }

    /// <summary>As its cloud calls it; empty when nobody has said.</summary>
    public string InstanceType { get; init; } = "";

    /// <summary>The cloud may take it away.</summary>
    public bool IsSpot { get; init; } = true;

    public IEnumerable<DeviceId> Devices => Enumerable.Range(0, DeviceCount)
        .Select(i => new DeviceId(Node, Indices is { } indices ? indices[i] : i));

    /// <summary>Bytes that weights, KV pages and buffers may take on each of its devices.</summary>
    public long DeviceMemoryBytes() => MemoryBytes ?? Kind.MemoryBytes;

    /// <summary>Checks a fleet: at least one device, unique names, usable kinds.</summary>
    /// <exception cref="PlanningException">It is not usable; the message names the instance.</exception>
    public static void Require(IReadOnlyCollection<Instance> instances)
    {
        if (instances.Count == 0) throw new NoDevicesException();
        Inputs.Distinct(instances.Select(instance => instance.Node), "instance");
        foreach (var instance in instances)
        {
            if (string.IsNullOrWhiteSpace(instance.Node))
            {
                throw new PlanningInputException("An instance's name", instance.Node, "not empty");
            }

            Inputs.Between(instance.DeviceCount, 1, DevicesMax, $"Device count of {instance.Node}");
            if (instance.Indices is { } indices && indices.Length != instance.DeviceCount)
            {
                throw new PlanningInputException(
                    $"The number of device indices of {instance.Node}", indices.Length,
                    $"its device count, {instance.DeviceCount}");
            }

            if (instance.MemoryBytes is { } memory) Inputs.AtLeast(memory, 1, $"Memory of {instance.Node}");
        }

        Inputs.Between(
            instances.Sum(instance => (long)instance.DeviceCount), 1, DevicesMax, "The number of devices in all");

        foreach (var kind in instances.Select(instance => instance.Kind).Distinct()) kind.Require();
    }
}

/// <summary>What arrives: its rate and its sizes.</summary>
/// <param name="RequestsPerSecond">alpha, over the last half minute; 0 when idle.</param>
/// <param name="PromptTokens">S_in.</param>
/// <param name="OutputTokens">S_out.</param>
/// <param name="ArrivalVariation">Squared coefficient of variation of the time between arrivals: 1 is Poisson.</param>
public sealed record Workload(
    double RequestsPerSecond, int PromptTokens, int OutputTokens, double ArrivalVariation = 1)
{
    /// <summary>Longest prompt or output that is planned for.</summary>
    public const int TokensMax = 1 << 24;

    /// <exception cref="PlanningInputException">A rate is NaN or negative, or a length out of bounds.</exception>
    public void Require()
    {
        Inputs.NotNegative(RequestsPerSecond, "The arrival rate");
        Inputs.Between(PromptTokens, 1, TokensMax, "The prompt length");
        Inputs.Between(OutputTokens, 1, TokensMax, "The output length");
        Inputs.NotNegative(ArrivalVariation, "The arrivals' squared coefficient of variation");
    }
}
