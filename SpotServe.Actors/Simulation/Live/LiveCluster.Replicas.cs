using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Simulation;

/// <summary>What replicas do when they are told to: hand over, serve, give their requests back.</summary>
internal sealed partial class LiveCluster
{
    private void BeginHandover(LiveReplica old, PlannerEffect.BeginHandover begin)
    {
        if (old.TargetEpoch == begin.NewEpoch) return;
        (old.Targets, old.TargetEpoch) = (begin.Targets, begin.NewEpoch);
        var over = _handover.CopyFullPages(old, begin.NewEpoch, _replicas);
        _time.At(over, () => Hear(new HandoverProtocol.HandoverReady(old.Epoch, old.Index, begin.NewEpoch)));
    }

    private void Command(LiveReplica replica, object message)
    {
        switch (message)
        {
            case ReplicaControlProtocol.GetReplicaCache:
                var cached = (replica.Held is { } held
                    ? held.Where(entry => entry.HasCache).Select(entry => entry.Request.Cached)
                    : replica.Serving.Cached()).ToImmutableArray();
                Later(
                    AnswerSeconds,
                    new ReplicaControlProtocol.ReplicaCacheReport(replica.Epoch, replica.Index, cached));
                break;
            case ReplicaControlProtocol.Drain:
                replica.Held ??= replica.Serving.Stop();
                Later(AnswerSeconds, new ReplicaControlProtocol.Drained(replica.Epoch, replica.Index));
                if (!replica.Targets.IsEmpty) HandOver(replica);
                break;
            case HandoverProtocol.CancelHandover:
                (replica.Targets, replica.TargetEpoch) = ([], Epoch.None);
                break;
            case HandoverProtocol.ServeNow:
                _time.At(_time.Now + AnswerSeconds, () => Serve(replica));
                break;
            default:
                break;
        }
    }

    private void HandOver(LiveReplica old)
    {
        var (held, epoch) = (old.Held!, old.TargetEpoch);
        old.Held = [];
        GiveBack(held.Where(entry => !entry.HasCache));
        var targets = old.Targets;
        var home = targets.FirstOrDefault(target => target.IsHome) ?? targets[0];
        var going = held.Where(entry => entry.HasCache).Select(entry => entry.Request).GroupBy(request =>
            (targets.FirstOrDefault(target => target.Requests.Contains(request.Cached.Id)) ?? home).NewReplica)
            .ToDictionary(group => group.Key, group => group.ToList());
        foreach (var target in targets)
        {
            var requests = going.GetValueOrDefault(target.NewReplica, []);
            if (!_replicas.TryGetValue((epoch, target.NewReplica), out var heir))
            {
                GiveBack(requests.Select(request => (request, true)));
                continue;
            }

            _time.At(_handover.CopyTails(old, heir, requests), () =>
            {
                heir.Arrived.AddRange(requests);
                heir.HandedOver.Add(old.Index);
                if (heir.Expects.All(heir.HandedOver.Contains)) Serve(heir);
            });
        }
    }

    /// <summary>A new replica goes on with what it was handed; what does not fit is computed anew.</summary>
    private void Serve(LiveReplica replica)
    {
        var requests = replica.Arrived.ToList();
        replica.Arrived.Clear();
        var taken = requests.TakeWhile(replica.Serving.HasRoomFor).ToList();
        var count = 0;
        foreach (var request in requests)
        {
            if (!replica.Serving.HasRoomFor(request)) break;
            replica.Serving.Adopt(request);
            count++;
        }

        GiveBack(requests.Skip(count).Select(request => (request, true)));
        Invariant.Holds(taken.Count == 0 || count > 0);
        if (replica.Serves) return;
        replica.Serves = true;
        Hear(new HandoverProtocol.ReplicaServes(replica.Epoch, replica.Index, count, requests.Count - count, 0, 0));
    }

    private void Release(ClusterProtocol.ReleasePosition release)
    {
        _devices.Release(release.Device, release.Epoch, release.Trim);
        if (_replicaOn.TryGetValue((release.Epoch, release.Device), out var replica))
        {
            Drop(replica);
            var left = replica.Held ?? replica.Serving.Stop();
            GiveBack(left.Concat(replica.Arrived.Select(request => (request, true))));
        }

        Later(AnswerSeconds, new ClusterProtocol.PositionReleased(release.Epoch, release.Device));
    }

    private void GiveBack(IEnumerable<(SimulatedRequest Request, bool HasCache)> left)
    {
        var list = left.ToList();
        foreach (var (request, _) in list.Where(entry => entry.HasCache)) request.LoseCache();
        _requeue(list.Select(entry => entry.Request));
    }
}
