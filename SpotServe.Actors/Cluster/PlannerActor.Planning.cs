using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;
using static SpotServe.Actors.Cluster.ClusterProtocol;
using static SpotServe.Actors.Cluster.PlannerEvents;

namespace SpotServe.Actors.Cluster;

/// <summary>Planning: what do the nodes hold, is another layout needed, which one.</summary>
public sealed partial class PlannerActor
{
    private readonly Dictionary<string, NodeHoldings> _holdings = [];
    private readonly Dictionary<int, ReplicaCache> _caches = [];
    private readonly HashSet<int> _cachesAsked = [];
    private long _round;
    private string _cause = "";
    private DateTimeOffset _roundAt;
    private DateTimeOffset? _lostAllAt;
    private bool _hasRehearsed;

    private void BeginPlanning(string cause)
    {
        _wish = null;
        _cause = cause;
        _round++;
        _roundAt = Now;
        _holdings.Clear();
        _caches.Clear();
        _cachesAsked.Clear();
        AskNodes();
        AskReplicas();
        Enter(PlannerPhase.Planning, $"planning: {cause}", Planning);
        DecideWhenComplete();
    }

    private void AskNodes()
    {
        foreach (var (name, node) in _nodes)
        {
            if (!_holdings.ContainsKey(name)) node.Actor.Tell(new GetHoldings(_round) { Term = _term });
        }
    }

    private void AskReplicas()
    {
        foreach (var (index, replica) in _replicas)
        {
            _cachesAsked.Add(index);
            replica.Tell(new ReplicaControlProtocol.GetReplicaCache(_serving!.Epoch));
        }
    }

    private void OnHoldings(NodeHoldings answer)
    {
        if (!_nodes.ContainsKey(answer.Node)) return;   // lost meanwhile; it has to report itself anew
        _holdings[answer.Node] = answer;
        _accused.Remove(answer.Node);
        DecideWhenComplete();
    }

    private void OnReplicaCache(ReplicaControlProtocol.ReplicaCacheReport report)
    {
        if (report.Epoch != _serving?.Epoch) return;
        _caches[report.Replica] = new ReplicaCache(report.Replica, report.Requests);
        DecideWhenComplete();
    }

    private void OnPlanningTick()
    {
        var waited = Now - _roundAt;
        var missing = _nodes.Keys.Where(node => !_holdings.ContainsKey(node)).ToArray();
        foreach (var node in missing)
        {
            if (waited >= _options.AnswerMax || (waited >= _options.AccusedAnswerMax && _accused.ContainsKey(node)))
            {
                Lose(node, $"node {node} did not answer within {waited.TotalSeconds:0.00} s");
            }
        }

        if (waited >= _options.AnswerMax)
        {
            foreach (var replica in _cachesAsked.Where(index => !_caches.ContainsKey(index)).ToArray())
            {
                LoseReplica(replica, "it did not answer");
            }
        }

        if (Now >= _repeatAt)
        {
            _repeatAt = Now + _options.RepeatAfter;
            AskNodes();
            AskReplicas();
        }

        DecideWhenComplete();
    }

    private void DecideWhenComplete()
    {
        if (_phase != PlannerPhase.Planning) return;
        if (_nodes.Keys.Any(node => !_holdings.ContainsKey(node))) return;
        RecogniseServing();
        if (_replicas.Keys.Any(index => !_caches.ContainsKey(index))) return;
        ReleaseStale();
        RefreshLeftOut();
        if (IsChangeNeeded()) Decide();
        else EnterIdle("nothing fits yet");
    }

    /// <summary>
    /// After a restart the planner knows from its journal which epoch served, and from its devices whether it still
    /// does.
    /// </summary>
    private void RecogniseServing()
    {
        if (_serving is not { } serving || !serving.Pages.IsEmpty) return;
        var reports = _holdings.Values.SelectMany(node => node.Devices).SelectMany(device => device.Positions)
            .Where(report => report.Epoch == serving.Epoch && report.IsRunning)
            .ToLookup(report => report.Assignment.Position);
        var layout = serving.Layout;
        var pages = new int[layout.Degrees.Replicas];
        for (var replica = 0; replica < pages.Length; replica++)
        {
            var positions = layout.Positions.Where(position => position.Replica == replica).ToList();
            if (!positions.All(reports.Contains)) continue;
            var leader = reports[positions[0]].First();
            pages[replica] = leader.Assignment.PageCount;
            if (leader.Replica is not null) _replicas[replica] = leader.Replica;
        }

        if (_replicas.Count == 0)
        {
            _serving = null;
            return;
        }

        _serving = serving with { Pages = [.. pages] };
        _log.Info("{0} still serves with {1} replicas", serving.Epoch, _replicas.Count);
        AskReplicas();
    }

    /// <summary>What devices still have of epochs that are over goes, all but the weights.</summary>
    private void ReleaseStale()
    {
        foreach (var node in _holdings.Values)
        {
            foreach (var (device, epoch) in node.Devices.SelectMany(
                device => device.Positions.Select(position => (device.Device, position.Epoch))))
            {
                if (epoch == _serving?.Epoch && IsAlive(device)) continue;
                Command(device, new ReleasePosition(epoch, device, Trim: false) { Term = _term });
            }
        }
    }

    /// <summary>Whether the device is part of a replica that serves.</summary>
    private bool IsAlive(DeviceId device)
    {
        var index = _serving!.Layout.Placement.IndexOf(device);
        return index >= 0 && _replicas.ContainsKey(_serving.Layout.PositionAt(index).Replica);
    }

    private bool IsChangeNeeded()
    {
        var staying = Staying();
        var desired = Model is null
            ? null
            : LayoutChoice.Degrees(_options, _wanted, Model, staying.Sum(node => node.Devices.Length));
        if (desired is null) return _serving is null && _replicas.Count == 0 && !staying.IsEmpty;
        if (_serving is not { } serving || _replicas.Count < serving.Layout.Degrees.Replicas) return true;
        return serving.Layout.Degrees != desired
            || !serving.Layout.Placement.All(device => staying.Any(
                node => node.Node == device.Node && node.Devices.Any(known => known.Index == device.Index)));
    }

    /// <summary>
    /// Plans once for the loss of a node and throws the plan away, so that the first real one does not wait for this
    /// code to be compiled.
    /// </summary>
    private void Rehearse()
    {
        if (_hasRehearsed || _serving is null || Model is null) return;
        _hasRehearsed = true;
        try
        {
            var staying = Staying();
            var caches = Enumerable.Range(0, _serving.Layout.Degrees.Replicas)
                .Select(replica => new ReplicaCache(replica, [new CachedRequest(new RequestId("rehearsal"), 20, 10)]));
            LayoutDecision.Make(Input(staying.Length > 1 ? staying[1..] : staying, _serving, [.. caches]));
        }
        catch (PlanningException error)
        {
            _log.Debug("There would be no layout without {0}: {1}", _nodes.Keys.Min(), error.Message);
        }
    }

    private DecisionInput Input(
        ImmutableArray<NodeInfo> staying, ServingEpoch? serving, ImmutableArray<ReplicaCache> caches) => new(
        _options,
        _wanted,
        Model!,
        staying,
        [.. _holdings.Values.Where(node => !_leftOut.Contains(node.Node)).SelectMany(node => node.Devices)],
        serving,
        caches,
        _notices.ToImmutableDictionary(
            notice => notice.Key,
            notice => notice.Value > Now ? notice.Value - Now : TimeSpan.Zero));

    private void Decide()
    {
        var serving = _replicas.Count > 0 ? _serving : null;
        LayoutDecision decision;
        try
        {
            decision = LayoutDecision.Make(Input(
                Staying(), serving, [.. _caches.Values.Where(cache => _replicas.ContainsKey(cache.Replica))]));
        }
        catch (PlanningException error)
        {
            _log.Warning("No layout: {0}", error.Message);
            EnterIdle($"no layout fits: {error.Message}");
            Wish(_cause, _options.RetryAfter);
            return;
        }

        var happened = new LayoutDecided(_epoch.Next, Now, _cause, decision.Layout);
        Persist(happened, decided =>
        {
            _epoch = decided.Epoch;
            _log.Info("{0}: {1} because {2}", _epoch, decision.Layout.Degrees, decided.Cause);
            foreach (var note in decision.Notes) _log.Info("{0}", note);
            _change = new LayoutChange(
                _epoch, decision, serving, _serving?.Layout.Degrees, decided.Cause, _roundAt);
            if (_lostAllAt is { } lost) _change.OnStopping(lost);
            _change.Enter(nameof(PlannerPhase.Planning), _roundAt);
            BeginChange();
        });
    }
}
