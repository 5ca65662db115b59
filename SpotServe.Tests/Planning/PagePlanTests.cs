using System.Collections.Immutable;
using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class PagePlanTests
{
    /// <summary>By the rule as it is said: each old replica without heir goes to its own number where that is free,
    /// else to the first free one, else to any. Thousands of replicas need it quicker than by the rule.</summary>
    [Fact]
    public void Old_replicas_are_paired_as_the_rule_says() =>
        Gen.Select(Gen.Int[1, 9], Gen.Int[0, 9], Gen.Int[0, 1_000_000]).Sample((count, olds, seed) =>
        {
            var random = new Random(seed);
            var kept = Enumerable.Range(0, olds).Where(_ => random.Next(2) == 0)
                .SelectMany(old => Enumerable.Range(0, random.Next(1, 3)).Select(_ => new InheritedCache(
                    old, random.Next(count),
                    [new CachedRequest(new RequestId($"{old}"), 1 + random.Next(90), random.Next(9))])))
                .ToImmutableArray();
            var inherited = new CacheInheritance(kept, []);
            ImmutableArray<int> oldReplicas = [.. Enumerable.Range(0, olds)];

            var successions = PagePlan.SuccessionsOf(count, inherited, oldReplicas);

            Assert.Equal(ByTheRule(count, inherited, oldReplicas), successions);
        });

    private static IEnumerable<Succession> ByTheRule(
        int count, CacheInheritance inherited, ImmutableArray<int> oldReplicas)
    {
        var pairs = inherited.Kept.OrderByDescending(kept => kept.PageTokens).ThenBy(kept => kept.OldReplica)
            .Select(kept => (Old: kept.OldReplica, New: kept.NewReplica)).ToList();
        foreach (var old in oldReplicas.Where(old => pairs.All(pair => pair.Old != old)))
        {
            var free = Enumerable.Range(0, count).Where(replica => pairs.All(pair => pair.New != replica)).ToList();
            pairs.Add((old, free.Contains(old) ? old : free.Count > 0 ? free[0] : old % count));
        }

        var successions = new List<Succession>();
        foreach (var (old, @new) in pairs)
        {
            var isHome = successions.All(known => !known.IsHome || (known.Old != old && known.New != @new));
            successions.Add(new Succession(old, @new, isHome));
        }

        return successions.OrderBy(pair => pair.Old).ThenBy(pair => pair.IsHome ? 0 : 1).ThenBy(pair => pair.New);
    }
}
