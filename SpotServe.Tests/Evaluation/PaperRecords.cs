using System.Collections.Immutable;
using SpotServe.Actors.Simulation;
using SpotServe.Seed.Commands.Simulating;
using Xunit;

namespace SpotServe.Tests.Evaluation;

/// <summary>The evaluation's cells, played once for all tests that look at them.</summary>
internal static class PaperRecords
{
    private static readonly Lazy<PaperInputs> Files = new(() =>
        PaperFiles.Load(Golden.Checkout.Shared("traces")));

    private static readonly Lazy<ImmutableArray<PaperCell>> FileCells = new(() =>
        PaperEvaluation.Figure6(Files.Value, new PaperAssumptions()));

    private static readonly Lazy<ImmutableArray<PaperCell>> ShapeCells = new(() =>
        PaperEvaluation.Figure6(PaperShapes.Inputs(), new PaperAssumptions()));

    /// <summary>The artifact's files; skips the test where they are not.</summary>
    public static PaperInputs Inputs
    {
        get
        {
            _ = Golden.Checkout.Shared("traces", "spotserve");
            return Files.Value;
        }
    }

    public static ImmutableArray<PaperCell> Cells
    {
        get
        {
            _ = Golden.Checkout.Shared("traces", "spotserve");
            return FileCells.Value;
        }
    }

    /// <summary>The same from the built-in set.</summary>
    public static ImmutableArray<PaperCell> Shapes => ShapeCells.Value;

    /// <summary>Machines and layouts of a run, e.g. "7 (2,3,4), 8 (2,2,8)".</summary>
    public static string Layouts(SimulationOutcome outcome) => string.Join(
        ", ", outcome.Reconfigurations.Select(change => $"{change.Machines} {change.Degrees}"));

    /// <summary>What the study of the artifact found for each number of machines.</summary>
    public static string LayoutOf(string model, int machines) => (model, machines) switch
    {
        ("OPT-6.7B", 7) => "(7,1,4)",
        ("OPT-6.7B", 8) => "(8,1,4)",
        ("OPT-6.7B", 9) => "(9,1,4)",
        ("OPT-6.7B", 10) => "(5,2,4)",
        ("GPT-20B", 7) => "(2,3,4)",
        ("GPT-20B", 8 or 9 or 10) => "(2,2,8)",
        ("LLaMA-30B", 7) => "(1,3,8)",
        ("LLaMA-30B", 8 or 9 or 10) => "(1,4,8)",
        _ => throw new ArgumentOutOfRangeException(nameof(machines), machines, model),
    };

    /// <summary>The same for the fixed pipelines of Rerouting.</summary>
    public static string ReroutingOf(string model, int machines) => (model, machines) switch
    {
        ("OPT-6.7B", 7) => "(3,2,4)",
        ("OPT-6.7B", 8 or 9) => "(4,2,4)",
        ("OPT-6.7B", 10) => "(5,2,4)",
        ("GPT-20B", 7) => "(1,2,8)",
        ("GPT-20B", 8 or 9 or 10) => "(2,2,8)",
        ("LLaMA-30B", 7) => "(0,4,8)",
        ("LLaMA-30B", 8 or 9 or 10) => "(1,4,8)",
        _ => throw new ArgumentOutOfRangeException(nameof(machines), machines, model),
    };

    /// <summary>Each layout of each run is the one for its machines.</summary>
    public static void RequireLayouts(IEnumerable<PaperCell> cells) => Assert.All(cells, cell =>
    {
        foreach (var run in new[] { cell.SpotServe, cell.Reparallelization })
        {
            Assert.All(run.Reconfigurations, change =>
                Assert.Equal(LayoutOf(cell.Model, change.Machines), change.Degrees.ToString()));
        }

        Assert.All(cell.Rerouting.Reconfigurations, change =>
            Assert.Equal(ReroutingOf(cell.Model, change.Machines), change.Degrees.ToString()));
    });
}
