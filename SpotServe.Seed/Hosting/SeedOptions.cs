using System.Net.Sockets;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Remoting;
using SpotServe.Seed.Api;
using SpotServe.Seed.Narration;

namespace SpotServe.Seed.Hosting;

/// <summary>Everything a seed process needs to know, already checked against the model.</summary>
public sealed record SeedOptions
{
    public required ServedModel Model { get; init; }

    /// <summary>File that the cluster is recorded into; null for none.</summary>
    public string? Record { get; init; }

    /// <summary>Collector that metrics and traces are sent to; null for none.</summary>
    public Uri? Telemetry { get; init; }

    /// <summary>Address that HTTP and Akka listen on, and that other processes reach this one by.</summary>
    public required string Host { get; init; }

    /// <summary>HTTP port; 0 picks a free one.</summary>
    public required int HttpPort { get; init; }

    /// <summary>Akka port; 0 picks a free one.</summary>
    public required int ClusterPort { get; init; }

    /// <summary>Devices to wait for before the first layout.</summary>
    public required int DevicesExpected { get; init; }

    /// <summary>Null: the planner picks.</summary>
    public LayoutDegrees? Layout { get; init; }

    /// <summary>Who may ask what by HTTP.</summary>
    public AccessOptions HttpAccess { get; init; } = new();

    /// <summary>The terminal tells all that the planner does, not only what it comes to.</summary>
    public bool Verbose { get; init; }

    /// <summary>What this process logs, and how.</summary>
    public LogOptions Log { get; init; } = LogOptions.Default;

    /// <summary>Folder of the journal and of logs.</summary>
    public required string DataFolder { get; init; }

    /// <summary>Logs of this process and of the nodes that it starts.</summary>
    public string LogFolder => Path.Combine(DataFolder, "logs");

    /// <summary>PostgreSQL connection string; null uses a SQLite file in <see cref="DataFolder"/>.</summary>
    public string? Database { get; init; }

    /// <summary>
    /// All control nodes, "host:port", this one included, in the same order everywhere: the first one founds the
    /// cluster when none answers. Empty: this one is the only one.
    /// </summary>
    public IReadOnlyList<string> Seeds { get; init; } = [];

    /// <summary>What other processes have to prove to be taken in.</summary>
    public ClusterAccess ClusterAccess { get; init; } = ClusterAccess.Open;

    public int SequencesMax { get; init; } = 64;

    /// <summary>Tokens of one engine step; at least as many as sequences.</summary>
    public int StepTokensMax { get; init; } = 512;

    /// <summary>Whether what prompts have in common is computed once.</summary>
    public bool KeepsPrefixes { get; init; } = true;

    public int OpenRequestsMax { get; init; } = 1024;

    /// <summary>As of <see cref="GatewayOptions"/>.</summary>
    public long WaitingTokensMax { get; init; } = GatewayOptions.WaitingTokensDefault;

    /// <summary>Longest life of a request.</summary>
    public TimeSpan RequestTimeout { get; init; } = ApiOptions.RequestTimeoutMax;

    /// <summary>What the planner chooses sources of weights by, where it is not to be measured.</summary>
    public SourceRates Rates { get; init; } = SourceRates.Unknown;

    /// <summary>What layouts are chosen for; null fills the devices with one replica.</summary>
    public LayoutObjective? Objective { get; init; }

    /// <summary>When the load is worth a change of layout.</summary>
    public FollowOptions Follow { get; init; } = new();

    /// <summary>Time over which the load is averaged.</summary>
    public TimeSpan LoadWindow { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Who starts and stops machines, and how many there may be; null: nodes are started by hand.</summary>
    public FleetSetup? Machines { get; init; }

    /// <summary>Bounds of the wish for machines.</summary>
    public FleetRules Fleet { get; init; } = new();

    /// <summary>Nodes that start at the same time as this control node; null: it starts none.</summary>
    internal NodesBeside? Beside { get; init; }

    /// <summary>Whether the old layout serves while bytes move.</summary>
    public MigrationMode Migration { get; init; } = MigrationMode.CopyWhileServing;
}

/// <summary>For who starts nodes beside this control node: they start at the same time.</summary>
/// <param name="ClusterSocket">Listens where nodes are told to find this control node: those that are quicker wait in
/// its queue.</param>
/// <param name="Names">What people call the nodes.</param>
/// <param name="MayBegin">Called once nothing is known any more that could keep this control node from starting, and
/// the folders of <see cref="SeedOptions.DataFolder"/> are there and nobody else's.</param>
internal sealed record NodesBeside(Socket ClusterSocket, NodeNames Names, Action MayBegin);

/// <summary>A cloud, and what the fleet manager may have of it.</summary>
public sealed record FleetSetup(ICloud Cloud, FleetLimits Limits);
