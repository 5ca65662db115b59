using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Planning;

/// <summary>The paper's evaluation: nodes of four T4, GPT-20B's shape, prompts of 512 and outputs of 128
/// tokens.</summary>
internal static class PaperSetup
{
    public static readonly DeviceKind T4 = new("T4", 16L << 30, 240e9, 8e12, 50e-6, 0.476);

    public static Workload Load(double alpha) => new(alpha, 512, 128);

    public static Instance[] Nodes(int count) =>
        [.. Enumerable.Range(0, count).Select(i => new Instance($"node{i:00}", T4, 4))];

    /// <summary>Any decoder with the profile's layer count: with the paper's rules only the count matters.</summary>
    public static SliceGeometry Geometry(ProfileTable table) =>
        new((TransformerShape.Gpt20B with { LayerCount = table.LayerCount }).ToModelSpec());

    public static SearchResult Search(ProfileTable table, int replicaDevicesMin, double alpha, int nodes) =>
        new LayoutSearch(Geometry(table), new ProfileCostModel(table), SearchOptions.Paper(table, replicaDevicesMin))
            .Run(Nodes(nodes), Load(alpha));

    public static double Execution(ProfileTable table, int stages, int ranks, int batch)
    {
        var shape = ReplicaShape.Even(table.LayerCount, stages, ranks, T4);
        return new ProfileCostModel(table).Cost(shape, batch, Load(1), Batching.Fixed).Execution(128);
    }
}
