using System.Collections.Immutable;
using CsCheck;
using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Planning;

/// <summary>Fleets, layouts and holdings for tests, made by rule or drawn at random.</summary>
internal static class PlanningScenarios
{
    public static readonly SliceGeometry Gpt = new(TransformerShape.Gpt20B.ToModelSpec());

    /// <summary>12 layers, 8 heads over 4 kv heads, sizes that do not divide evenly.</summary>
    public static readonly SliceGeometry Small = new(new TransformerShape(
        "small", 12, 64, 8, 4, 150, 97, 256, ElementType.Float16).ToModelSpec());

    public static ImmutableArray<Instance> Fleet(int machines, int devicesEach) =>
        [.. Enumerable.Range(0, machines).Select(i => new Instance($"n{i:000}", PaperSetup.T4, devicesEach))];

    /// <summary>Devices on positions in fleet order.</summary>
    public static Layout InOrder(
        SliceGeometry geometry, LayoutDegrees degrees, IEnumerable<Instance> fleet) => new(
        degrees,
        Layout.EvenStages(geometry.Model.LayerCount, degrees.Replicas, degrees.Stages),
        [.. fleet.SelectMany(instance => instance.Devices).Take(degrees.DeviceCount)]);

    public static ImmutableArray<ReplicaCache> Caches(LayoutDegrees degrees, int tokens, int requests = 2) =>
        [.. Enumerable.Range(0, degrees.Replicas).Select(d => new ReplicaCache(
            d,
            [.. Enumerable.Range(0, requests).Select(r => new CachedRequest(
                new RequestId($"r{d:000}-{r}"), tokens + d + r, tokens / 2 + d))]))];

    public static MappingProblem Problem(
        SliceGeometry geometry,
        LayoutDegrees degrees,
        ImmutableArray<Instance> fleet,
        ImmutableArray<Holding> holdings,
        ImmutableArray<ReplicaCache> caches,
        Layout? current = null) => new(
        geometry,
        degrees,
        Layout.EvenStages(geometry.Model.LayerCount, degrees.Replicas, degrees.Stages),
        [],
        fleet,
        holdings,
        CacheInheritance.Plan(geometry, caches, holdings, degrees),
        current);

    /// <summary>Degrees that fit on so many devices of the small model.</summary>
    public static Gen<LayoutDegrees> Degrees(int devices, params int[] rankCounts) =>
        Gen.Select(Gen.OneOfConst(rankCounts), Gen.Int[1, 4], Gen.Int[1, 4]).Select((m, p, b) => (m, p, b))
            .Where(x => x.m * x.p <= devices)
            .SelectMany(x => Gen.Int[1, Math.Max(1, devices / (x.m * x.p))]
                .Select(d => new LayoutDegrees(d, x.p, x.m, x.b)));

    /// <summary>A fleet after some machines of a serving layout were lost and some empty ones joined.</summary>
    public static Gen<MappingProblem> AfterChange(
        SliceGeometry geometry, int machines, int devicesEach, int[] rankCounts)
    {
        var fleet = Fleet(machines, devicesEach);
        return Gen.Select(
                Degrees(machines * devicesEach, rankCounts),
                Gen.Bool.Array[machines],
                Gen.Int[0, 2],
                Gen.Int[0, 400])
            .Select((old, lost, joined, tokens) =>
            {
                var layout = InOrder(geometry, old, fleet);
                var gone = fleet.Where((_, i) => lost[i]).Take(machines / 2).Select(i => i.Node).ToHashSet();
                var left = fleet.Where(i => !gone.Contains(i.Node))
                    .Concat(Enumerable.Range(0, joined)
                        .Select(i => new Instance($"new{i}", PaperSetup.T4, devicesEach)));
                var holdings = Holding.All(geometry, layout).Where(h => !gone.Contains(h.Device.Node));
                return (layout, fleet: left.ToImmutableArray(), holdings: holdings.ToImmutableArray(), tokens);
            })
            .SelectMany(s => Degrees(s.fleet.Length * devicesEach, rankCounts).Select(next => Problem(
                geometry, next, s.fleet, s.holdings, Caches(s.layout.Degrees, s.tokens), s.layout)));
    }
}
