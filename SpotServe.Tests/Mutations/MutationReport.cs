using System.Diagnostics;
using Xunit;

namespace SpotServe.Tests.Mutations;

/// <summary>
/// Puts bugs in, one at a time, and says which the tests see. By command, because it builds for each of them:
/// <c>SpotServe.Tests -explicit only -class SpotServe.Tests.Mutations.MutationReport -showLiveOutput</c>;
/// SPOTSERVE_MUTATIONS picks those whose name or file has one of its texts, which commas part;
/// SPOTSERVE_MUTATIONS_WITH is a program that starts each build and test in place of this one.
/// </summary>
public sealed class MutationReport(ITestOutputHelper output)
{
    private const double KilledMin = 0.95;

    internal static IEnumerable<Mutation> All =>
    [
        .. SchedulerMutations.All,
        .. HandoverMutations.All,
        .. RequestMutations.All,
        .. DataPlaneMutations.All,
        .. PlanningMutations.All,
        .. ClusterMutations.All,
    ];

    [Fact(Explicit = true)]
    public async Task Tests_see_nearly_every_bug_that_is_put_in()
    {
        var picked = (Environment.GetEnvironmentVariable("SPOTSERVE_MUTATIONS") ?? "").Split(',');
        var mutations = All.Where(mutation => picked.Any(text =>
            mutation.Name.Contains(text, StringComparison.OrdinalIgnoreCase)
            || mutation.File.Contains(text, StringComparison.OrdinalIgnoreCase))).ToArray();
        using var workshop = new MutationWorkshop();
        await workshop.OpenAsync();
        List<string> errors =
            [.. mutations.Where(mutation => workshop.Find(mutation) is null).Select(mutation => $"{mutation.Name}: "
                + $"its text is not exactly once in {mutation.File}")];
        errors.AddRange(await FailingWithoutAsync(workshop, mutations));
        foreach (var error in errors) output.WriteLine($"error     {error}");

        var (killed, explained) = (0, 0);
        List<string> survivors = [];
        foreach (var mutation in mutations.Where(mutation => workshop.Find(mutation) is not null))
        {
            var started = Stopwatch.GetTimestamp();
            Killer? killer = null;
            var problem = await workshop.WithAsync(
                mutation, async () => killer = await KillerAsync(workshop, mutation));
            if (problem is { } error)
            {
                errors.Add($"{mutation.Name}: {error}");
                output.WriteLine($"error     {errors[^1]}");
                continue;
            }

            if (killer is not null) killed++;
            else if (mutation.Survives is not null) explained++;
            else survivors.Add(mutation.Name);
            var how = killer is not null ? $"by {killer}" : mutation.Survives ?? "and nobody knows why";
            output.WriteLine(
                $"{(killer is null ? "survived " : "killed   ")} {mutation.Name}, {how} "
                + $"({Stopwatch.GetElapsedTime(started).TotalSeconds:0} s)");
        }

        output.WriteLine($"{killed} of {mutations.Length} killed, {explained} survive for a known reason, "
            + $"{survivors.Count} for none, {errors.Count} errors");
        Assert.Empty(errors);
        Assert.True(killed >= KilledMin * mutations.Length, $"Only {killed} of {mutations.Length} were killed.");
        Assert.Empty(survivors);
    }

    /// <summary>A test that fails anyway kills nothing.</summary>
    private static async Task<List<string>> FailingWithoutAsync(MutationWorkshop workshop, Mutation[] mutations)
    {
        List<string> failing = [];
        foreach (var same in mutations.SelectMany(mutation => mutation.Killers).GroupBy(killer => killer.ToString()))
        {
            if (!await workshop.PassesAsync(same.First())) failing.Add($"{same.Key} fails without any bug");
        }

        return failing;
    }

    private static async Task<Killer?> KillerAsync(MutationWorkshop workshop, Mutation mutation)
    {
        foreach (var killer in mutation.Killers)
        {
            if (!await workshop.PassesAsync(killer)) return killer;
        }

        return null;
    }
}
