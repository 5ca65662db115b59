using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Simulation;

/// <summary>What a seed draws before anything happens: the model, the machines, the options.</summary>
/// <param name="Controls">Control nodes.</param>
/// <param name="Nodes">Gpu nodes at the start, and again after healing.</param>
/// <param name="BytesPerSecond">Between two machines.</param>
/// <param name="DiskBytesPerSecond">What nodes that join find: below the network's rate in half of the seeds.</param>
/// <param name="Slowness">Factor on the time of a step.</param>
internal sealed record ClusterDraw(
    int Controls,
    int Nodes,
    int DevicesPerNode,
    ModelSpec Model,
    long MemoryBytes,
    double BytesPerSecond,
    double DiskBytesPerSecond,
    double Slowness,
    PlannerOptions Planner)
{
    /// <summary>Two epochs fit on any device with all their pages.</summary>
    private const long RoomyBytes = 600_000;

    private const int SequencesMax = 6;
    private const int ContextMax = 128;

    /// <summary>Whether nothing has to be given up before the next layout serves.</summary>
    public bool AlwaysKeepsServing =>
        MemoryBytes == RoomyBytes && Planner.Mode == MigrationMode.CopyWhileServing;

    public static ClusterDraw Of(Random random)
    {
        var layers = random.Next(2, 7);
        var model = FakeModel.Spec(layers, heads: 4, kvHeads: 2, hidden: 8, vocabulary: 48, contextMax: ContextMax);
        var (nodes, perNode) = (random.Next(2, 6), random.Next(5) == 0 ? 2 : 1);
        var wanted = random.Next(2) == 0 ? null : AnyDegrees(random, layers, nodes * perNode);
        return new ClusterDraw(
            random.Next(2) == 0 ? 1 : 3,
            nodes,
            perNode,
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
                WorkingBytes = 4_000,
                Limits = new() { GatherMax = TimeSpan.FromSeconds(5) },
                CheckpointEvery = random.Next(2) == 0 ? 6 : 400,
                Mode = random.Next(7) == 0 ? MigrationMode.StopThenMigrate : MigrationMode.CopyWhileServing,
            });
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
}
