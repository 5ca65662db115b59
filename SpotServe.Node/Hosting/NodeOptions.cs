using System.Net;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Remoting;
using SpotServe.Node.Preemption.Clouds;

namespace SpotServe.Node.Hosting;

/// <summary>Everything a node process needs to know.</summary>
internal sealed record NodeOptions
{
    /// <summary>Control nodes to join, "host:port".</summary>
    public required IReadOnlyList<string> Seeds { get; init; }

    public required string ModelFolder { get; init; }

    /// <summary>Collector that metrics and traces are sent to; null for none.</summary>
    public Uri? Telemetry { get; init; }

    /// <summary>Address that other machines reach this one by; control and data plane listen on it.</summary>
    public required IPAddress Host { get; init; }

    /// <summary>Akka port; 0 picks a free one.</summary>
    public int ClusterPort { get; init; }

    /// <summary>Data-plane port; 0 picks a free one.</summary>
    public int DataPort { get; init; }

    /// <summary>"cpu", "cuda" or "cuda:N".</summary>
    public required string Device { get; init; }

    /// <summary>Devices of this node: GPUs from the named one on, or engines that share the CPU.</summary>
    public int DeviceCount { get; init; } = 1;

    /// <summary>CPU threads of each device; null takes all cores.</summary>
    public int? Threads { get; init; }

    public ElementType? WeightType { get; init; }

    /// <summary>Device memory that each device may use; null takes what the device has.</summary>
    public long? MemoryBytes { get; init; }

    public string? TorchLib { get; init; }

    /// <summary>What a GPU's engines promise of their bits.</summary>
    public Engine.Numerics Numerics { get; init; }

    /// <summary>See <see cref="Engine.TorchRuntimeOptions.MapWeights"/>.</summary>
    public bool MapWeights { get; init; } = true;

    /// <summary>What the machine is to its cloud.</summary>
    public MachineInfo Machine { get; init; } = MachineInfo.Unknown;

    /// <summary>What each device does; null has them measure it.</summary>
    public DeviceSpeed? Speed { get; init; }

    /// <summary>Folder that keeps what devices measured of themselves.</summary>
    public string CacheFolder { get; init; } = SpeedCache.DefaultFolder;

    /// <summary>What this node proves to others, and they to it.</summary>
    public required ClusterAccess Access { get; init; }

    /// <summary>What this process logs on standard output, and how.</summary>
    public LogOptions Log { get; init; } = LogOptions.Default;

    /// <summary>Longest wait for a control node at the start.</summary>
    public TimeSpan JoinMax { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Time from SIGTERM to the machine's end; zero makes SIGTERM an ordinary stop.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A file whose appearance is a preemption notice; null: none is looked for.</summary>
    public string? NoticeFile { get; init; }

    /// <summary>Whose metadata service says when this machine goes; null: to be found out.</summary>
    public CloudKind? Cloud { get; init; }

    /// <summary>Where that service answers; null: at the cloud's own address.</summary>
    public Uri? MetadataAddress { get; init; }

    /// <summary>How long a node that the cluster removed, or that lost all control nodes, tries to join
    /// again.</summary>
    public TimeSpan RejoinMax { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Longest time for all links of a position to come up.</summary>
    public TimeSpan ConnectMax { get; init; } = TimeSpan.FromSeconds(20);
}
