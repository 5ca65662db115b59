using System.Globalization;
using Xunit;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// Whole clusters on virtual time under faults that a seed draws. SPOTSERVE_SIM_SEEDS sets how many seeds,
/// SPOTSERVE_SIM_FIRST the first, SPOTSERVE_SIM_SECONDS the longest time, SPOTSERVE_SIM_TRACES a file that gets a line
/// for each seed, to compare processes by; SPOTSERVE_SIM_SEED runs a single one and tells all that happened in it.
/// </summary>
public sealed class ClusterSimulationTests(ITestOutputHelper output)
{
    private const int SeedsInCi = 500;
    private const int SecondsInCi = 120;

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
        var report = new SeedRange(first, count, limit).Run(output.WriteLine, traces);

        output.WriteLine(report.ToString());
        Assert.True(report.Broken.Count == 0, $"{report}\n{string.Join('\n', report.Broken.Take(20))}");
    }

    private static int? Setting(string name) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value)
            ? value
            : null;
}
