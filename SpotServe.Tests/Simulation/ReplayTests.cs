using System.Diagnostics;
using Xunit;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// A seed is one run, whenever and wherever: else a broken one could not be found again. What differs between
/// processes are the hash codes of strings, and with them the order of some collections; what differs within one is
/// what went before.
/// </summary>
public sealed class ReplayTests
{
    // Among these are some that differed in every process while actors stopped in the order of hash codes.
    private const int FirstSeed = 200;
    private const int SeedCount = 11;
    private static readonly TimeSpan Limit = Waits.Max;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Seed_replays_exactly(int seed)
    {
        var first = ClusterSimulation.Run(seed);
        var second = ClusterSimulation.Run(seed);

        Assert.Equal(first, second);
    }

    // The other process is the test program itself, running only the simulation, from the first seed to the last; this
    // one goes from the last to the first.
    [Fact]
    public async Task Seed_replays_exactly_in_another_process()
    {
        var file = Path.GetTempFileName();
        using var other = StartSimulation(file);
        var said = other.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        string[] here = [.. Enumerable.Range(FirstSeed, SeedCount).Reverse()
            .Select(seed => ClusterSimulation.Run(seed).ToString()).Reverse()];
        var output = await said.WaitAsync(Limit, TestContext.Current.CancellationToken);
        var there = await File.ReadAllLinesAsync(file, TestContext.Current.CancellationToken);
        File.Delete(file);

        Assert.True(there.Length == SeedCount, $"The other process ran {there.Length} of {SeedCount} seeds:\n{output}");
        var differing = here.Zip(there).Where(pair => pair.Item1 != pair.Item2)
            .Select(pair => $"\nhere:  {pair.Item1}\nthere: {pair.Item2}").ToArray();
        Assert.True(differing.Length == 0, $"{differing.Length} of {SeedCount} differ: {string.Concat(differing)}");
    }

    private static Process StartSimulation(string traces)
    {
        const string Method = nameof(
            ClusterSimulationTests.No_law_breaks_and_every_accepted_request_ends_as_undisturbed_whatever_happens);
        var start = new ProcessStartInfo(
            Path.Combine(AppContext.BaseDirectory, "SpotServe.Tests"),
            ["-method", $"{typeof(ClusterSimulationTests).FullName}.{Method}", "-noColor"])
        {
            RedirectStandardOutput = true,
        };
        start.Environment.Remove("SPOTSERVE_SIM_SEED");
        start.Environment.Remove("SPOTSERVE_SIM_SECONDS");
        start.Environment["SPOTSERVE_SIM_FIRST"] = $"{FirstSeed}";
        start.Environment["SPOTSERVE_SIM_SEEDS"] = $"{SeedCount}";
        start.Environment["SPOTSERVE_SIM_TRACES"] = traces;
        return Process.Start(start)!;
    }
}
