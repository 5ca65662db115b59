using System.Collections.Immutable;

namespace SpotServe.Actors.Simulation;

/// <summary>The values that the paper prints, to be set beside ours.</summary>
public static class PaperReported
{
    public static ImmutableArray<string> Traces { get; } = ["A_S", "B_S", "A_S+O", "B_S+O"];

    /// <summary>Fig. 6: P99 of Reparallelization and Rerouting over SpotServe's, in the order of <see
    /// cref="Traces"/>.</summary>
    public static (double Reparallelization, double Rerouting) Ratio(string model, string trace) =>
        Ratios[model][Traces.IndexOf(trace)];

    /// <summary>GPT-20B in seconds.</summary>
    public static (double Average, double P99) Gpt20Billion(string policy, string trace) =>
        Seconds[policy][Traces.IndexOf(trace)];

    /// <summary>Machines that stay, GPT-20B in seconds, before the artifact's plotting code shifts them.</summary>
    public static ImmutableArray<(int Machines, double Average, double P99, double Tolerance)> Static { get; } =
    [
        (3, 141.482, 253.343, 0.2), (4, 98.037, 175.346, 0.2), (6, 29.146, 43.47, 0.1), (8, 24.623, 34.45, 0.1),
    ];

    /// <summary>Fig. 9, GPT-20B: P99 over full SpotServe's, as parts are left out one after another.</summary>
    public static ImmutableArray<double> Ablation(string trace) => trace switch
    {
        "A_S" => [1.13, 1.40, 1.48, 1.63],
        "B_S" => [2.79, 3.06, 3.35, 3.41],
        _ => [],
    };

    /// <summary>Table 1, with its (P, M).</summary>
    public static ImmutableArray<(string Model, int Stages, int Ranks, double Seconds)> Table1 { get; } =
        [("OPT-6.7B", 1, 4, 5.447), ("GPT-20B", 3, 4, 14.373), ("LLaMA-30B", 2, 8, 17.540)];

    private static Dictionary<string, (double, double)[]> Ratios { get; } = new()
    {
        ["OPT-6.7B"] = [(2.48, 3.01), (2.52, 5.84), (2.23, 1.97), (3.76, 1.03)],
        ["GPT-20B"] = [(1.33, 1.11), (1.52, 2.67), (1.34, 1.04), (2.19, 1.30)],
        ["LLaMA-30B"] = [(1.40, 3.97), (1.61, 9.13), (1.34, 2.14), (2.43, 2.27)],
    };

    private static Dictionary<string, (double, double)[]> Seconds { get; } = new()
    {
        ["Reparallelization"] = [(32.045, 61.287), (27.068, 56.284), (32.663, 65.816), (31.915, 73.257)],
        ["Rerouting"] = [(26.333, 51.008), (47.570, 99.115), (30.373, 50.732), (24.580, 43.239)],
        ["SpotServe"] = [(23.518, 46.108), (23.315, 37.083), (23.416, 49.005), (20.724, 33.388)],
    };
}
