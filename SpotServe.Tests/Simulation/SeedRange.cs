using System.Diagnostics;

namespace SpotServe.Tests.Simulation;

/// <summary>Runs many seeds, one after the other, until all are done or the time is over; what was not done is part of
/// the report, because a run that tried a few of the seeds proves little of the rest.</summary>
/// <param name="brokenMax">So many broken seeds are enough: the others are not tried.</param>
/// <param name="run">What a seed stands for: a whole simulated cluster, but in this class's own tests.</param>
internal sealed class SeedRange(
    int first, int count, TimeSpan limit, int brokenMax = int.MaxValue, Func<int, SimOutcome>? run = null)
{
    private static readonly TimeSpan TellEvery = TimeSpan.FromSeconds(20);

    /// <param name="tell">Hears how it goes on.</param>
    /// <param name="traces">Gets a line for each seed, equal in every process; null for none.</param>
    public SimReport Run(Action<string> tell, TextWriter? traces = null)
    {
        var started = Stopwatch.GetTimestamp();
        var told = TimeSpan.Zero;
        List<string> broken = [];
        List<(double Seconds, int Seed)> gaps = [];
        var (requests, reconfigurations, done) = (0, 0, 0);
        for (var seed = first; seed < first + count && broken.Count < brokenMax; seed++)
        {
            var elapsed = Stopwatch.GetElapsedTime(started);
            if (elapsed >= limit) break;
            if (elapsed - told >= TellEvery)
            {
                told = elapsed;
                tell($"{elapsed.TotalSeconds:0} s: {done} seeds, {broken.Count} broken");
            }

            var outcome = run is null ? ClusterSimulation.Run(seed) : run(seed);
            traces?.WriteLine(outcome);
            done++;
            requests += outcome.Requests;
            reconfigurations += outcome.Reconfigurations;
            gaps.Add((outcome.LongestGap.TotalSeconds, seed));
            if (outcome.Law is not { } law) continue;
            broken.Add($"seed {seed}: {law}");
            tell(broken[^1]);
        }

        return new SimReport(count, done, requests, reconfigurations, Stopwatch.GetElapsedTime(started), broken, gaps);
    }
}

/// <summary>What many seeds came to.</summary>
/// <param name="Gaps">Longest gap in a stream of each seed, in virtual seconds.</param>
internal sealed record SimReport(
    int Asked,
    int Seeds,
    int Requests,
    int Reconfigurations,
    TimeSpan Took,
    List<string> Broken,
    List<(double Seconds, int Seed)> Gaps)
{
    /// <summary>Why the run as a whole proves nothing, or null: a law is broken, or not all seeds were tried.</summary>
    public string? Failure => Broken.Count > 0
        ? $"{this}\n{string.Join('\n', Broken.Take(20))}"
        : Seeds < Asked
            ? $"Only {Seeds} of {Asked} seeds ran before the time was over ({Took.TotalSeconds:0} s). {this}. "
                + "Ask for fewer seeds (SPOTSERVE_SIM_SEEDS) or give more time (SPOTSERVE_SIM_SECONDS)."
            : null;

    public override string ToString()
    {
        var gaps = Gaps.Order().ToArray();
        var longest = gaps.Length == 0
            ? "none"
            : $"{gaps[gaps.Length / 2].Seconds:0.0} s in half of the seeds, {gaps[^1].Seconds:0.0} s in the worst, "
                + $"seed {gaps[^1].Seed}";
        return $"{Seeds} of {Asked} seeds, {Requests} requests, {Reconfigurations} layouts decided, "
            + $"{Broken.Count} broken; "
            + $"longest gap of a stream: {longest}; {Took.TotalSeconds:0.0} s";
    }
}
