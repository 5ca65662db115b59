using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;
using static SpotServe.Actors.Cluster.PlannerEvents;

namespace SpotServe.Actors.Cluster;

/// <summary>CuttingOver and Releasing: the old replicas stop, the new ones serve, memory is given back.</summary>
public sealed partial class PlannerActor
{
    private DateTimeOffset? _serveAt;
    private Epoch _releasing;

    private void StopOldReplicas()
    {
        var change = _change!;
        _serveAt = null;
        change.Limit = HandoverLimit(change);
        Persist(new CutOverBegun(change.Epoch, Now), _ =>
        {
            if (_change != change) return;
            change.OnStopping(Now);
            _stopping.Clear();
            _stopping.UnionWith(_replicas.Keys);
            SendDrain();
            Enter(PlannerPhase.CuttingOver, $"cutting over to {change.Layout.Degrees}", CuttingOver);
            // Replicas that nobody hands anything over to serve as they are.
            if (change.Decision.Origin is not { } origin) change.NotServing.Clear();
            else change.NotServing.RemoveWhere(replica => origin.Expects[replica].IsEmpty);
            ActivateWhenAllServe();
        });
    }

    /// <summary>By when the old replicas must have handed over: their nodes may have to go.</summary>
    private DateTimeOffset HandoverLimit(LayoutChange change)
    {
        var limit = Now + _options.CutOverMax;
        foreach (var (node, deadline) in _notices)
        {
            if (change.Before is { } before && Uses(before.Layout, node) && deadline - _options.HandoverReserve < limit)
                limit = deadline - _options.HandoverReserve;
        }

        var soonest = Now + _options.AccusedAnswerMax;
        return limit > soonest ? limit : soonest;
    }

    private void SendDrain()
    {
        foreach (var old in _stopping)
        {
            if (_replicas.TryGetValue(old, out var replica))
            {
                replica.Tell(new ReplicaControlProtocol.Drain(_change!.Before!.Epoch));
            }
        }
    }

    private void OnDrained(ReplicaControlProtocol.Drained drained)
    {
        if (drained.Epoch == _change!.Before?.Epoch) _stopping.Remove(drained.Replica);
        ActivateWhenAllServe();
    }

    private void OnReplicaServes(HandoverProtocol.ReplicaServes serves)
    {
        if (!_change!.NotServing.Remove(serves.Replica)) return;
        _change.OnServes(serves.Sequences, serves.TokensRecomputed, serves.Bytes);
        ActivateWhenAllServe();
    }

    private void ActivateWhenAllServe()
    {
        // Without a handover there is nobody who would wait for the old ones, but their last tokens count, too.
        if (_change!.NotServing.Count == 0 && (_stopping.Count == 0 || _change.Decision.Origin is not null)) Activate();
    }

    /// <summary>Nobody is left who could hand over more: what is on its way has a little time.</summary>
    private void ServeSoon() => _serveAt ??= Now + _options.AccusedAnswerMax;

    private void OnCuttingOverTick()
    {
        DropSilentNodes();
        if (_phase != PlannerPhase.CuttingOver) return;
        var change = _change!;
        if (Now >= change.Limit + _options.CutOverMax)
        {
            GiveUp("the new replicas did not begin to serve");
        }
        else if (Now >= change.Limit || Now >= _serveAt)
        {
            _serveAt = Now + _options.RepeatAfter;
            _stopping.Clear();
            foreach (var replica in change.NotServing)
            {
                change.Replicas[replica].Tell(new HandoverProtocol.ServeNow(change.Epoch));
            }

            ActivateWhenAllServe();
        }
        else if (Now >= _repeatAt)
        {
            _repeatAt = Now + _options.RepeatAfter;
            SendDrain();
        }
    }

    private void Activate()
    {
        var change = _change!;
        change.OnAllServe(Now);
        Persist(new LayoutActivated(change.Epoch, Now), _ =>
        {
            if (_change != change) return;
            var before = _serving;
            _serving = new ServingEpoch(change.Epoch, change.Layout, change.Decision.Pages);
            _replicas.Clear();
            foreach (var (index, replica) in change.Replicas) _replicas[index] = replica;
            _loads.Clear();
            _failedInARow = 0;
            _lostAllAt = null;
            BeginReleasing(before);
        });
    }

    private void BeginReleasing(ServingEpoch? before)
    {
        var change = _change!;
        change.WaitingFor.Clear();
        if (before is not null)
        {
            change.WaitingFor.UnionWith(before.Layout.Placement.Where(device => _nodes.ContainsKey(device.Node)));
        }

        _releasing = before?.Epoch ?? Epoch.None;
        change.Limit = Now + _options.ReleaseMax;
        Enter(PlannerPhase.Releasing, $"serving {Model?.Name} on {change.Layout.Degrees}, {change.Epoch}", Releasing);
        SendRelease();
        FinishWhenReleased();
    }

    private void SendRelease()
    {
        foreach (var device in _change!.WaitingFor)
        {
            // A device that the layout does not use keeps its weights: it is the first choice when one is lost.
            var isUsed = _change.Layout.Placement.Contains(device);
            Command(device, new ReleasePosition(_releasing, device, Trim: isUsed) { Term = _term });
        }
    }

    private void OnReleased(PositionReleased released)
    {
        _change!.WaitingFor.Remove(released.Device);
        FinishWhenReleased();
    }

    private void OnReleasingTick()
    {
        DropSilentNodes();
        if (_phase != PlannerPhase.Releasing) return;
        _change!.WaitingFor.RemoveWhere(device => !_nodes.ContainsKey(device.Node));
        if (Now >= _change.Limit)
        {
            _log.Warning("Not released in time: {0}", string.Join(", ", _change.WaitingFor));
            _change.WaitingFor.Clear();
        }
        else if (Now >= _repeatAt)
        {
            _repeatAt = Now + _options.RepeatAfter;
            SendRelease();
        }

        FinishWhenReleased();
    }

    private void FinishWhenReleased()
    {
        if (_change!.WaitingFor.Count > 0) return;
        EndChange(ReconfigurationRecord.Served);
        EnterIdle("nothing serves");
        Rehearse();
    }

    /// <summary>The change cannot be completed. What serves goes on, unless it was told to stop; weights that came in
    /// stay where they are, and the next plan starts from there.</summary>
    private void GiveUp(string cause)
    {
        var change = _change!;
        _log.Warning("{0} is given up: {1}", change.Epoch, cause);
        if (_phase == PlannerPhase.Releasing)
        {
            // It serves already; only what was to be released is left, and the next plan does that.
            EndChange(ReconfigurationRecord.Served);
            EnterIdle(cause);
            Wish(cause, TimeSpan.Zero);
            return;
        }

        foreach (var device in change.Layout.Placement)
        {
            Command(device, new ReleasePosition(change.Epoch, device, Trim: false) { Term = _term });
        }

        var stopped = _phase == PlannerPhase.CuttingOver || (_stopFirst && change.Before is not null);
        if (stopped)
        {
            // Stopped replicas cannot be taken up again; their requests go on from their committed tokens.
            _serving = null;
            _replicas.Clear();
        }
        else
        {
            foreach (var replica in _replicas.Values)
            {
                replica.Tell(new HandoverProtocol.CancelHandover(_serving!.Epoch, change.Epoch));
            }
        }

        EndChange($"given up: {cause}");
        _failedInARow++;
        EnterIdle($"planning anew: {cause}");
        Wish(cause, _failedInARow == 1 ? TimeSpan.Zero : _options.Settle * (1 << Math.Clamp(_failedInARow - 2, 0, 5)));
    }
}
