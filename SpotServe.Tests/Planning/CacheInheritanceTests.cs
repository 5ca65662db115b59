using System.Collections.Immutable;
using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

/// <summary>Who goes on with which requests: no request twice, no more than a replica takes, and none from a cache that
/// is not whole.</summary>
public sealed class CacheInheritanceTests
{
    private static readonly SliceGeometry Small = PlanningScenarios.Small;

    [Fact]
    public void Every_request_is_kept_once_or_dropped_and_no_replica_gets_more_than_its_batch() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[0, 9].Array[1, 4], Gen.Int[1, 4], Gen.Int[1, 6]).Sample(
            (_, counts, replicas, batch) =>
        {
            var caches = Caches(counts);
            var target = new LayoutDegrees(replicas, 1, 1, batch);

            var inherited = CacheInheritance.Plan(Small, caches, Holdings(counts.Length), target);

            var kept = inherited.Kept.SelectMany(kept => kept.Requests).Select(request => request.Id).ToArray();
            var all = caches.SelectMany(cache => cache.Requests).Select(request => request.Id).ToArray();
            Assert.Equal(kept.Length, kept.Distinct().Count());
            Assert.Equal(
                all.Select(id => id.Value).Order(),
                kept.Concat(inherited.Dropped.Select(request => request.Id)).Select(id => id.Value).Order());
            Assert.Equal(Math.Min(all.Length, replicas * batch), kept.Length);
            Assert.All(inherited.Kept.GroupBy(cache => cache.NewReplica), taken =>
                Assert.InRange(taken.Sum(cache => cache.Requests.Length), 0, batch));
            Assert.All(inherited.Kept, cache => Assert.InRange(cache.NewReplica, 0, replicas - 1));
        }, iter: 300);

    [Fact]
    public void Most_advanced_requests_are_kept_when_there_is_room_for_fewer()
    {
        var inherited = CacheInheritance.Plan(
            Small, Caches([6, 6, 6]), Holdings(3), new LayoutDegrees(2, 1, 1, 6));

        var least = inherited.Kept.SelectMany(kept => kept.Requests).Min(request => request.Decoded);
        Assert.Equal(6, inherited.Dropped.Length);
        Assert.All(inherited.Dropped, request => Assert.InRange(request.Decoded, 0, least));
    }

    [Fact]
    public void Replica_of_which_a_layer_or_a_head_is_lost_is_not_gone_on_with()
    {
        var model = Small.Model;
        Holding[] holdings =
        [
            Held("a", new CacheSlice(0, new LayerRange(0, model.LayerCount), 0, model.KvHeadCount - 1)),
            Held("b", new CacheSlice(1, new LayerRange(0, model.LayerCount - 1), 0, model.KvHeadCount)),
            Held("c", new CacheSlice(2, new LayerRange(0, model.LayerCount), 0, model.KvHeadCount)),
        ];

        var inherited = CacheInheritance.Plan(Small, Caches([1, 1, 1]), holdings, new LayoutDegrees(3, 1, 1, 4));

        Assert.Equal(2, Assert.Single(inherited.Kept).OldReplica);
        Assert.Equal(2, inherited.Dropped.Length);
    }

    private static ImmutableArray<ReplicaCache> Caches(int[] counts) =>
    [
        .. counts.Select((count, replica) => new ReplicaCache(
            replica,
            [
                .. Enumerable.Range(0, count).Select(i => new CachedRequest(
                    new RequestId($"r{replica}-{i}"), 20 + i, (7 * replica) + (5 * i % 11))),
            ])),
    ];

    private static Holding[] Holdings(int replicas) =>
    [
        .. Enumerable.Range(0, replicas).Select(replica => Held(
            $"n{replica}",
            new CacheSlice(replica, new LayerRange(0, Small.Model.LayerCount), 0, Small.Model.KvHeadCount))),
    ];

    private static Holding Held(string node, CacheSlice cache) => new(new DeviceId(node, 0), [], [cache]);
}
