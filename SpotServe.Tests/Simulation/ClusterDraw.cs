using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Simulation;

/// <summary>What a seed draws before anything happens: the model, the machines, the options.</summary>
/// <param name="Controls">Control nodes.</param>
/// <param name="Nodes">Gpu nodes at the start, and again after healing.</param>
/// <param name="Clients">Clients, each with one request.</param>
/// <param name="ClientsUntil">By when all of them have come.</param>
/// <param name="BytesPerSecond">Between two machines.</param>
/// <param name="DiskBytesPerSecond">What nodes that join find: below the network's rate in half of the seeds.</param>
/// <param name="Slowness">Factor on the time of a step.</param>
internal sealed record ClusterDraw(
    SimTheme Theme,
    int Controls,
    int Nodes,
    int DevicesPerNode,
    int Clients,
    TimeSpan ClientsUntil,
    ModelSpec Model,
    long MemoryBytes,
    double BytesPerSecond,
    double DiskBytesPerSecond,
    double Slowness,
    PlannerOptions Planner)
{
    /// <summary>Whether machines differ in their speed.</summary>
    public bool IsMixed { get; init; }

    public const int SequencesMax = 6;

    /// <summary>Two epochs fit on any device with all their pages.</summary>
    private const long RoomyBytes = 600_000;

    /// <summary>At this rate nothing that a notice of some seconds needs is late for the network's sake.</summary>
    private const double QuickBytesPerSecond = 3e5;

    private const int ContextMax = 128;
    private const long WorkingBytes = 4_000;

    /// <summary>Whether nothing has to be given up before the next layout serves.</summary>
    public bool AlwaysKeepsServing =>
        MemoryBytes == RoomyBytes && Planner.Mode == MigrationMode.CopyWhileServing;

    public bool IsQuick => BytesPerSecond >= QuickBytesPerSecond;

    /// <summary>What a machine says of itself.</summary>
    public static DeviceSpeed SpeedOf(bool isSlow) => isSlow
        ? new DeviceSpeed("slow", 1e10, 1e11, 2e-5)
        : new DeviceSpeed("fast", 2e10, 2e11, 2e-5);

    /// <summary>Three nodes of one device, two of them in a pipeline, and no clients but a test's own.</summary>
    public static ClusterDraw ThreeNodes(ModelSpec model, int controls, int stepTokensMax) => new(
        SimTheme.AnyFaults,
        controls,
        Nodes: 3,
        DevicesPerNode: 1,
        Clients: 0,
        ClientsUntil: TimeSpan.Zero,
        model,
        MemoryBytes: 40_000_000,
        BytesPerSecond: 1e8,
        DiskBytesPerSecond: 1e9,
        Slowness: 1,
        new PlannerOptions
        {
            Wanted = new LayoutDegrees(1, 2, 1, 4),
            DevicesExpected = 3,
            SequencesMax = 4,
            StepTokensMax = stepTokensMax,
            WorkingBytes = WorkingBytes,
            Limits = new() { GatherMax = TimeSpan.FromSeconds(5) },
        });

    public static ClusterDraw Of(Random random)
    {
        var drawn = AnyOf(random);
        var themed = random.Next(10) switch
        {
            0 => drawn.OneNotice(random),
            1 => drawn.FullBatches(random),
            2 => drawn.PageShortage(random),
            3 => drawn.SilentHome(random),
            4 => drawn.WakingPlanner(random),
            _ => drawn,
        };
        return themed with { IsMixed = random.Next(4) == 0 };
    }

    public static LayoutDegrees? AnyDegrees(Random random, int layers, int devices)
    {
        var fitting =
            from replicas in Enumerable.Range(1, 3)
            from stages in Enumerable.Range(1, layers)
            from ranks in (int[])[1, 2, 4]
            where replicas * stages * ranks <= devices
            select new LayoutDegrees(replicas, stages, ranks, SequencesMax);
        var all = fitting.ToArray();
        return all.Length == 0 ? null : all[random.Next(all.Length)];
    }

    private static ClusterDraw AnyOf(Random random)
    {
        var layers = random.Next(2, 7);
        var model = FakeModel.Spec(layers, heads: 4, kvHeads: 2, hidden: 8, vocabulary: 48, contextMax: ContextMax);
        var (nodes, perNode) = (random.Next(2, 6), random.Next(5) == 0 ? 2 : 1);
        var wanted = random.Next(2) == 0 ? null : AnyDegrees(random, layers, nodes * perNode);
        return new ClusterDraw(
            SimTheme.AnyFaults,
            random.Next(2) == 0 ? 1 : 3,
            nodes,
            perNode,
            random.Next(4, 13),
            TimeSpan.FromSeconds(20),
            model,
            // From hardly enough for one context to enough for two epochs with all their pages.
            random.Next(3) switch { 0 => 45_000, 1 => 90_000, _ => RoomyBytes },
            Math.Pow(10, 4 + (random.NextDouble() * 2.5)),
            random.Next(2) == 0 ? 1e3 : 1e9,
            5 + (30 * random.NextDouble()),
            new PlannerOptions
            {
                Wanted = wanted,
                DevicesExpected = nodes * perNode,
                SequencesMax = SequencesMax,
                StepTokensMax = 32,
                WorkingBytes = WorkingBytes,
                Limits = new() { GatherMax = TimeSpan.FromSeconds(5) },
                CheckpointEvery = random.Next(2) == 0 ? 6 : 400,
                Mode = random.Next(7) == 0 ? MigrationMode.StopThenMigrate : MigrationMode.CopyWhileServing,
            });
    }

    private ClusterDraw OneNotice(Random random) => Roomy(SimTheme.OneNotice) with
    {
        BytesPerSecond = QuickBytesPerSecond * (1 + (9 * random.NextDouble())),
    };

    private ClusterDraw FullBatches(Random random) => (Roomy(SimTheme.FullBatches) with
    {
        Clients = random.Next(18, 25),
        ClientsUntil = TimeSpan.FromSeconds(2),
        BytesPerSecond = QuickBytesPerSecond * (0.3 + random.NextDouble()),
    }).On(nodes: random.Next(3, 5), new LayoutDegrees(3, 1, 1, SequencesMax));

    private ClusterDraw PageShortage(Random random)
    {
        var replicas = random.Next(2, 4);
        var pages = random.Next(KvPage.Count(ContextMax) + 1, 20);
        var geometry = new SliceGeometry(Model);
        var pagesBytes = geometry.KvBytes(pages * KvPage.Tokens, Model.LayerCount, Model.KvHeadCount);
        return (this with
        {
            Theme = SimTheme.PageShortage,
            Clients = random.Next(10, 17),
            ClientsUntil = TimeSpan.FromSeconds(3),
            MemoryBytes = WorkingBytes + geometry.WeightBytes + pagesBytes,
            BytesPerSecond = 1e4 * (1 + (9 * random.NextDouble())),
        }).On(nodes: replicas, new LayoutDegrees(replicas, 1, 1, SequencesMax));
    }

    private ClusterDraw SilentHome(Random random) => (Roomy(SimTheme.SilentHome) with
    {
        Clients = random.Next(6, 13),
        ClientsUntil = TimeSpan.FromSeconds(3),
        BytesPerSecond = QuickBytesPerSecond,
    }).On(nodes: 3, new LayoutDegrees(1, 2, 1, SequencesMax));

    private ClusterDraw WakingPlanner(Random random) => Roomy(SimTheme.WakingPlanner) with
    {
        Controls = 3,
        BytesPerSecond = 1e4 * (1 + (9 * random.NextDouble())),
    };

    private ClusterDraw Roomy(SimTheme theme) => this with
    {
        Theme = theme,
        MemoryBytes = RoomyBytes,
        Planner = Planner with { Mode = MigrationMode.CopyWhileServing },
    };

    private ClusterDraw On(int nodes, LayoutDegrees wanted) => this with
    {
        Nodes = nodes,
        DevicesPerNode = 1,
        Planner = Planner with
        {
            Wanted = wanted,
            DevicesExpected = nodes,
            Mode = MigrationMode.CopyWhileServing,
        },
    };
}
