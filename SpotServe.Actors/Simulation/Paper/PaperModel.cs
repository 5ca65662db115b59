using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>A model of the paper's evaluation.</summary>
/// <param name="Profile">Its layers' times on machines of four T4.</param>
/// <param name="Shape">Whose slices move.</param>
/// <param name="ReplicaDevicesMin">Table 1's minimum number of GPUs.</param>
/// <param name="Rate">Requests per second that arrive.</param>
/// <param name="PlannedRate">alpha: what the artifact plans for, whatever arrives.</param>
public sealed record PaperModel(
    string Name,
    ProfileTable Profile,
    TransformerShape Shape,
    int ReplicaDevicesMin,
    double Rate,
    double PlannedRate)
{
    /// <summary>GPUs of a g4dn.12xlarge.</summary>
    public const int DevicesEach = 4;

    public static Workload Load(double rate) => new(rate, 512, 128);

    public static PaperModel Opt6Billion(ProfileTable profile) => new(
        "OPT-6.7B", profile,
        new TransformerShape(
            "OPT-6.7B", profile.LayerCount, 4096, 32, 32, 16_384, 50_272, 2048, ElementType.Float32, true,
            MlpShape.Plain),
        4, 1.5, 2);

    public static PaperModel Gpt20Billion(ProfileTable profile) => new(
        "GPT-20B", profile, TransformerShape.Gpt20B with { LayerCount = profile.LayerCount }, 12, 0.35, 0.4);

    /// <summary>The artifact's stand-in for LLaMA-30B: 48 layers of 7,168, which give Table 1's 111.8 GB.</summary>
    public static PaperModel Llama30Billion(ProfileTable profile) => new(
        "LLaMA-30B", profile,
        new TransformerShape(
            "LLaMA-30B", profile.LayerCount, 7168, 56, 56, 28_672, 50_257, 2048, ElementType.Float32, true,
            MlpShape.Plain),
        16, 0.2, 0.2);
}

/// <summary>A machine of the paper's evaluation: four T4, 50 Gb/s.</summary>
public static class PaperMachine
{
    public const double SpotPrice = 1.9046, OnDemandPrice = 3.912;

    public static DeviceKind Device { get; } = new("T4", 16L << 30, 240e9, 8e12, 50e-6, SpotPrice / 4);

    /// <summary>A machine whose memory nobody looks at: in the paper a minimum number of GPUs stands in for
    /// that.</summary>
    public static Instance Of(string node) => new(node, Unchecked, PaperModel.DevicesEach);

    private static DeviceKind Unchecked { get; } = Device with { MemoryBytes = 1L << 40 };
}
