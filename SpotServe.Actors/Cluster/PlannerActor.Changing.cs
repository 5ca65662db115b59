using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;
using static SpotServe.Actors.Cluster.PlannerEvents;

namespace SpotServe.Actors.Cluster;

/// <summary>PreCopying: the devices of the next layout get ready while the old one serves.</summary>
public sealed partial class PlannerActor
{
    /// <summary>Old replicas that were told to stop and have not said that they did.</summary>
    private readonly HashSet<int> _stopping = [];
    private bool _stopFirst;

    private void BeginChange()
    {
        var change = _change!;
        _stopping.Clear();
        _stopFirst = change.Before is not null
            && (!change.Decision.KeepsServing || _options.Mode == MigrationMode.StopThenMigrate);
        change.Limit = Now + _options.ProgressMax;
        Enter(PlannerPhase.PreCopying, $"getting {change.Layout.Degrees} ready", PreCopying);
        if (!_stopFirst)
        {
            Prepare();
            return;
        }

        change.OnStopping(Now);
        Persist(new CutOverBegun(change.Epoch, Now), _ =>
        {
            _stopping.UnionWith(_replicas.Keys);
            foreach (var replica in _replicas.Values) replica.Tell(new ReplicaControlProtocol.Drain(_serving!.Epoch));
            if (change.Decision.KeepsServing)
            {
                Prepare();
                return;
            }

            // There is no room for both: only weights are kept, and the requests are computed anew.
            change.WaitingFor.UnionWith(_serving!.Layout.Placement.Where(device => _nodes.ContainsKey(device.Node)));
            RepeatStopFirst();
        });
    }

    private void RepeatStopFirst()
    {
        foreach (var device in _change!.WaitingFor)
        {
            Command(device, new ReleasePosition(_change.Before!.Epoch, device, Trim: false) { Term = _term });
        }
    }

    private void OnStoppedFirst(PositionReleased released)
    {
        if (_change!.Decision.KeepsServing || released.Epoch != _change.Before?.Epoch) return;
        if (!_change.WaitingFor.Remove(released.Device) || _change.WaitingFor.Count > 0) return;
        _serving = null;
        _replicas.Clear();
        Prepare();
    }

    private void Prepare()
    {
        var change = _change!;
        foreach (var device in change.Layout.Placement)
        {
            if (!_nodes.ContainsKey(device.Node))
            {
                GiveUp($"node {device.Node} was lost before its weights were asked for");
                return;
            }
        }

        change.WaitingFor.UnionWith(change.Layout.Placement);
        SendPrepare();
    }

    private void SendPrepare()
    {
        var change = _change!;
        var endpoints = Endpoints(change.Decision.Orders.Values.SelectMany(orders => orders)
            .Select(order => order.From.Node));
        foreach (var device in change.WaitingFor)
        {
            var position = change.PositionOf(device);
            var assignment = new StageAssignment(
                change.Epoch,
                position,
                change.Layout.LayersOf(position),
                change.Layout.Degrees.Stages,
                change.Layout.Degrees.Ranks,
                change.Decision.Pages[position.Replica],
                _options.StepTokensMax,
                _options.SequencesMax);
            var shares = change.Decision.Origin is { } origin && origin.SharedOn.Contains(device);
            Command(device, new PreparePosition(
                change.Epoch,
                device,
                new PreparationOrder(
                    assignment,
                    change.Decision.Orders.GetValueOrDefault(device, []),
                    shares ? change.Decision.Origin!.Epoch : null),
                endpoints)
            {
                Term = _term,
            });
        }
    }

    private void OnDeviceLoading(DeviceLoading message)
    {
        _change!.OnLoading(message.Device, message.Progress);
        _change.Limit = Now + _options.ProgressMax;
        Publish();
    }

    private void OnDevicePrepared(DevicePrepared message)
    {
        var change = _change!;
        if (change.IsConnecting || !change.WaitingFor.Remove(message.Device)) return;
        change.Limit = Now + _options.ProgressMax;
        _log.Info("{0} is ready after {1:0.00} s", message.Device, message.Seconds);
        if (change.WaitingFor.Count > 0) return;
        change.IsConnecting = true;
        _connectingSince = Now;
        change.WaitingFor.UnionWith(change.Layout.Placement);
        change.NotServing.UnionWith(Enumerable.Range(0, change.Layout.Degrees.Replicas));
        Detail($"connecting {change.Layout.Degrees}");
        SendConnect();
    }

    private void SendConnect()
    {
        var change = _change!;
        var names = change.Layout.Placement.Concat(change.Before?.Layout.Placement ?? [])
            .Select(device => device.Node).Distinct().ToList();
        var endpoints = Endpoints(names);
        var nodes = change.Layout.Placement.Select(device => device.Node).Distinct()
            .Where(_nodes.ContainsKey)
            .ToImmutableDictionary(name => name, name => _nodes[name].Actor);
        // A leader has two things to report, and either may be lost.
        var leaders = Enumerable.Range(0, change.Layout.Degrees.Replicas)
            .Where(index => !change.Replicas.ContainsKey(index))
            .Select(index => change.Layout.DeviceAt(new Position(index, 0, 0)));
        foreach (var device in change.WaitingFor.Union(leaders))
        {
            Command(device, new ConnectPosition(
                change.Epoch, device, change.Layout, endpoints, Model!.ContextMax, nodes, change.Decision.Origin)
            {
                Term = _term,
            });
        }
    }

    private void OnDeviceConnected(DeviceConnected message)
    {
        if (!_change!.IsConnecting) return;
        _change.Limit = Now + _options.ProgressMax;
        _change.WaitingFor.Remove(message.Device);
        WhenConnected();
    }

    private void OnReplicaStarted(ReplicaStarted message)
    {
        if (!_change!.IsConnecting) return;
        _change.Replicas[message.Replica] = message.ReplicaActor;
        WhenConnected();
    }

    private void WhenConnected()
    {
        var change = _change!;
        if (change.IsConnected || change.WaitingFor.Count > 0
            || change.Replicas.Count < change.Layout.Degrees.Replicas) return;
        change.IsConnected = true;
        if (change.Decision.Origin is null || _replicas.Count == 0)
        {
            if (_replicas.Count == 0) Activate();
            else StopOldReplicas();
            return;
        }

        change.HandingOver.UnionWith(_replicas.Keys);
        change.Limit = Now + _options.PreCopyPagesMax;
        Detail($"pages go to {change.Layout.Degrees}");
        SendBeginHandover();
    }

    private void SendBeginHandover()
    {
        var change = _change!;
        foreach (var old in change.HandingOver)
        {
            var targets = change.Decision.Successions.Where(pair => pair.Old == old)
                .Select(pair => new HandoverProtocol.HandoverTarget(
                    pair.New,
                    change.Replicas[pair.New],
                    [.. change.Decision.Inherited.Kept
                        .Where(kept => kept.OldReplica == old && kept.NewReplica == pair.New)
                        .SelectMany(kept => kept.Requests)
                        .Select(request => request.Id)],
                    pair.IsHome,
                    change.Decision.Pages[pair.New],
                    pair.IsHome ? GuestPages(pair) : 0))
                .ToImmutableArray();
            _replicas[old].Tell(new HandoverProtocol.BeginHandover(change.Before!.Epoch, change.Epoch, targets));
        }
    }

    /// <summary>Page ids for sequences that come to a home's successor from elsewhere: twice what they have, and some
    /// for those that begin before the cut-over; never more than half of the home's.</summary>
    private int GuestPages(Succession home)
    {
        const int PagesOfNewcomer = 8;
        var change = _change!;
        var guests = change.Decision.Successions.Where(pair => pair.New == home.New && !pair.IsHome).ToList();
        var now = change.Decision.Inherited.Kept
            .Where(kept => kept.NewReplica == home.New && kept.OldReplica != home.Old)
            .SelectMany(kept => kept.Requests)
            .Sum(request => KvPage.Count(request.Tokens));
        var newcomers = (long)guests.Count * _options.SequencesMax * PagesOfNewcomer;
        return (int)Math.Min((2L * now) + newcomers, change.Before!.Pages[home.Old] / 2);
    }

    private void OnHandoverReady(HandoverProtocol.HandoverReady ready)
    {
        if (_change!.HandingOver.Remove(ready.Replica)) WhenHandedOver();
    }

    /// <summary>A serving replica was lost while another layout is being made ready.</summary>
    private void OnOldReplicaLost(int replica)
    {
        if (_change is not { } change) return;
        _stopping.Remove(replica);
        change.HandingOver.Remove(replica);
        if (_phase == PlannerPhase.CuttingOver && _stopping.Count == 0) ServeSoon();
        if (_phase != PlannerPhase.PreCopying) return;
        // The new replicas count on its pages; what came in of weights makes the next plan a short one.
        if (change.Decision.Successions.Any(pair => pair.Old == replica)) GiveUp($"replica {replica} was lost");
        else WhenHandedOver();
    }

    private void WhenHandedOver()
    {
        if (!_change!.IsConnected || _change.HandingOver.Count > 0) return;
        if (_replicas.Count > 0) StopOldReplicas();
        else Activate();
    }

    private void OnPreCopyingTick()
    {
        DropSilentNodes();
        if (_phase == PlannerPhase.PreCopying) SuspectSilentNodes();
        if (_phase == PlannerPhase.PreCopying) SeparateThoseThatDoNotConnect();
        if (_phase != PlannerPhase.PreCopying) return;
        var change = _change!;
        if (change.HandingOver.Count > 0 && (Now >= change.Limit || IsDeadlineNear()))
        {
            _log.Warning("Stopping before all full pages are over: {0}", IsDeadlineNear() ? "deadline" : "time limit");
            change.HandingOver.Clear();
            WhenHandedOver();
        }
        else if (Now >= change.Limit)
        {
            var missing = string.Join(", ", change.WaitingFor);
            GiveUp($"no progress for {_options.ProgressMax.TotalSeconds:0} s with {missing}");
        }
        else if (Now >= _repeatAt)
        {
            _repeatAt = Now + _options.RepeatAfter;
            if (change.HandingOver.Count > 0) SendBeginHandover();
            else if (change.IsConnecting) SendConnect();
            else if (_stopFirst && !change.Decision.KeepsServing && _serving is not null) RepeatStopFirst();
            else SendPrepare();
        }
    }

    private bool IsDeadlineNear() => _notices.Values.Any(deadline => Now >= deadline - _options.DeadlineReserve);

    private void Command(DeviceId device, object command)
    {
        if (_nodes.TryGetValue(device.Node, out var node)) node.Actor.Tell(command);
    }

    private ImmutableDictionary<string, string> Endpoints(IEnumerable<string> nodes) => nodes.Distinct()
        .Where(_nodes.ContainsKey)
        .ToImmutableDictionary(name => name, name => _nodes[name].Info.Endpoint);
}
