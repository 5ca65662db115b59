using SpotServe.Actors.Simulation;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>Why a ratio of Fig. 6 is another one here.</summary>
internal static class PaperDifferences
{
    public static string Why(PaperRatio ratio) => (ratio.Model, ratio.Trace, ratio.Policy) switch
    {
        ("LLaMA-30B", "B_S+O", _) =>
            "The paper's cells contradict each other: B_S+O starts as B_S does and loses less, and yet its ratios are "
            + "higher. n = 135: P99 is the second worst request.",
        ("GPT-20B", "A_S", "Rerouting") =>
            "Rerouting's seconds are right; SpotServe's P99 is lower here than in the paper, whose average is lower "
            + "too: better batching and one longer stall.",
        ("GPT-20B", "B_S+O", "Reparallelization") =>
            "The paper's Reparallelization is slower here than on B_S, which loses more machines.",
        _ => "Within the noise of the cell: shifted arrivals move it over the line.",
    };
}
