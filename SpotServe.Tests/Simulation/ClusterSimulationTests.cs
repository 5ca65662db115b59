using System.Globalization;
using Xunit;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// Whole clusters on virtual time under faults that a seed draws. SPOTSERVE_SIM_SEEDS sets how many seeds,
/// SPOTSERVE_SIM_FIRST the first, SPOTSERVE_SIM_SECONDS the longest time, SPOTSERVE_SIM_BROKEN after how many broken
/// ones to stop, SPOTSERVE_SIM_TRACES a file that gets a line for each seed, to compare processes by;
/// SPOTSERVE_SIM_SEED runs a single one and tells all that happened in it. A run that does not come to all its seeds
/// fails.
/// </summary>
public sealed class ClusterSimulationTests(ITestOutputHelper output)
{
    private const int SeedsInCi = 500;

    /// <summary>A seed takes 0.3 s beside another test; this allows for a machine that is eight times slower.</summary>
    private const int SecondsInCi = 1_200;

    [Fact]
    public void No_law_breaks_and_every_accepted_request_ends_as_undisturbed_whatever_happens()
    {
        if (Setting("SPOTSERVE_SIM_SEED") is { } single)
        {
            var alone = ClusterSimulation.Run(single, output.WriteLine);
            output.WriteLine($"{alone}");
            Assert.Null(alone.Broken);
            return;
        }

        var first = Setting("SPOTSERVE_SIM_FIRST") ?? 1;
        var count = Setting("SPOTSERVE_SIM_SEEDS") ?? SeedsInCi;
        var limit = TimeSpan.FromSeconds(Setting("SPOTSERVE_SIM_SECONDS") ?? SecondsInCi);
        var file = Environment.GetEnvironmentVariable("SPOTSERVE_SIM_TRACES");
        using var traces = file is null ? null : File.CreateText(file);
        var brokenMax = Setting("SPOTSERVE_SIM_BROKEN") ?? int.MaxValue;
        var report = new SeedRange(first, count, limit, brokenMax).Run(output.WriteLine, traces);

        output.WriteLine(report.ToString());
        Assert.True(report.Failure is null, report.Failure);
    }

    private static int? Setting(string name) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value)
            ? value
            : null;
}
