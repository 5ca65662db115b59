using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Replica;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// What must hold whatever the planner believes: judged from messages that reach devices, from what devices do, and
/// from what clients and the database have. Clients check their own streams.
/// </summary>
internal sealed class SimLaws
{
    /// <summary>A notice that was given so long ago, in calm, is known to whoever plans.</summary>
    private static readonly TimeSpan KnownAfter = TimeSpan.FromSeconds(3);

    /// <summary>In calm for so long, nobody is taken for lost who is not.</summary>
    private static readonly TimeSpan CalmFor = TimeSpan.FromSeconds(8);

    /// <summary>A grace in which everything that a quick network has to move is moved.</summary>
    private static readonly TimeSpan GoodGrace = TimeSpan.FromSeconds(8);

    private readonly SimWorld _world;
    private readonly SimCluster _cluster;
    private readonly ClusterDraw _draw;
    private readonly Dictionary<SimControl, Epoch> _shown = [];
    private readonly Dictionary<SimProcess, long> _termOf = [];
    private readonly Dictionary<Epoch, TimeSpan> _preparedAt = [];
    /// <summary>Replicas that others hand sequences to.</summary>
    private readonly HashSet<(Epoch Epoch, int Replica)> _expecting = [];
    private readonly HashSet<(Epoch Epoch, int Replica)> _serving = [];
    private readonly HashSet<(Epoch Epoch, int Replica)> _drained = [];
    private readonly Dictionary<(IActorRef Old, Epoch New, RequestId Id), IActorRef> _handedTo = [];
    private readonly Dictionary<(Epoch Epoch, RequestId Id), IActorRef> _generatedBy = [];
    private readonly Dictionary<string, (long Term, Epoch Epoch)> _leaving = [];
    private readonly SimViews _views = new();
    private Epoch _newest = Epoch.None;

    public SimLaws(SimCluster cluster, ClusterDraw draw)
    {
        (_world, _cluster, _draw) = (cluster.World, cluster, draw);
        cluster.OnDeadline = OnDeadline;
        cluster.DataPlane.OnReleasing = OnReleasing;
    }

    public void OnMessage(SimMessage message)
    {
        if (message.Content is ClusterProtocol.IPlannerCommand command) OnCommand(command, message.To);
        if (_views.Of(message) is { } view) OnView(view);
        switch (message.Content)
        {
            case ClusterProtocol.DevicePrepared:
                CheckMemory();
                break;
            case ClusterProtocol.ConnectPosition { Origin.Replicas.IsEmpty: false } connect:
                _expecting.Add((connect.Epoch, connect.Replica.Replica));
                break;
            case HandoverProtocol.ReplicaServes serves:
                _serving.Add((serves.Epoch, serves.Replica));
                break;
            case ReplicaControlProtocol.Drained drained:
                _drained.Add((drained.Epoch, drained.Replica));
                break;
            case HandoverProtocol.SequencesHandedOver handedOver when message.From is { } old:
                foreach (var handed in handedOver.Sequences) OnHandedOver(old, handedOver.Epoch, handed.Id, message.To);
                break;
            case ReplicaProtocol.TokensGenerated { Tokens.IsEmpty: false } generated when message.From is { } replica:
                OnGenerated(generated, replica);
                break;
            case ReplicaProtocol.Submit submit:
                CheckAsked(submit);
                break;
            default:
                break;
        }
    }

    /// <summary>Whatever was lost meanwhile, a request comes to a replica with the turn and the time that its client
    /// asked for.</summary>
    private void CheckAsked(ReplicaProtocol.Submit submit)
    {
        if (_cluster.Clients.Find(one => one.Id == submit.Id) is not { } client) return;
        var spec = submit.Request.Spec;
        if (spec.Standing != client.Standing || spec.Deadline != client.Deadline)
            _world.Break($"{client} is submitted as {spec.Standing} until {spec.Deadline:O}");
    }

    /// <summary>An old replica gives each of its requests to one new replica of an epoch, however often it says
    /// so.</summary>
    private void OnHandedOver(IActorRef old, Epoch epoch, RequestId id, IActorRef to)
    {
        var key = (old, epoch, id);
        if (_handedTo.TryAdd(key, to) || _handedTo[key].Equals(to)) return;
        _world.Break($"{id} was handed to {_handedTo[key].Path} and to {to.Path} of {epoch}");
    }

    /// <summary>Two replicas of one epoch do not generate one request, unless something has happened to the first or
    /// to who speaks with it.</summary>
    private void OnGenerated(ReplicaProtocol.TokensGenerated generated, IActorRef replica)
    {
        var key = (generated.Epoch, generated.Id);
        if (_generatedBy.TryAdd(key, replica) || _generatedBy[key].Equals(replica)) return;
        // However long ago the first has died: the request may have waited for another one since.
        var lives = _world.ProcessOf(_generatedBy[key]) is { IsDead: false };
        if (lives && _cluster.Calm.Lasts(CalmFor) && !_cluster.Calm.HasOrphans)
            _world.Break($"both {_generatedBy[key].Path} and {replica.Path} generate {generated.Id}");
        _generatedBy[key] = replica;
    }

    private void OnCommand(ClusterProtocol.IPlannerCommand command, IActorRef to)
    {
        // What a node does not obey it does not pass to its devices.
        if (!to.Path.Name.StartsWith("shard-", StringComparison.Ordinal)) return;
        if (_world.ProcessOf(to) is not { } process) return;
        var known = _termOf.GetValueOrDefault(process);
        if (command.Term < known) _world.Break($"{process} obeys {command} though it has obeyed term {known}");
        _termOf[process] = Math.Max(known, command.Term);
        if (command is ClusterProtocol.PreparePosition prepare) OnPrepare(prepare, process);
    }

    /// <summary>No new layout on a node under notice.</summary>
    private void OnPrepare(ClusterProtocol.PreparePosition prepare, SimProcess process)
    {
        _preparedAt.TryAdd(prepare.Epoch, _world.Now);
        if (_cluster.Nodes.Find(node => node.Process == process) is not { } node) return;
        var known = node.NoticedAt == TimeSpan.MaxValue ? node.NoticedAt : node.NoticedAt + KnownAfter;
        if (known < _preparedAt[prepare.Epoch] && _cluster.Calm.Since(_preparedAt[prepare.Epoch] - KnownAfter))
            _world.Break($"{process} gets {prepare.Epoch} though it was given notice at {node.NoticedAt}");
    }

    private void OnView(ClusterProtocol.PlannerView view)
    {
        foreach (var control in _cluster.Controls)
        {
            if (control.Board.View is not { } shown) continue;
            if (_shown.TryGetValue(control, out var last) && shown.Epoch < last)
                _world.Break($"{control.Host} went back from {last} to {shown.Epoch}");
            _shown[control] = shown.Epoch;
        }

        // As the planner itself says, whatever the time: what it decides once it knows of a notice leaves the node out.
        foreach (var device in view.Layout?.Placement ?? [])
        {
            if (!_leaving.TryGetValue(device.Node, out var leaving)) continue;
            if (leaving.Term == view.Term && view.Epoch > leaving.Epoch && view.Epoch > _newest)
                _world.Break($"{view.Epoch} uses {device.Node}, which the planner knows to leave");
        }

        if (view.Epoch > _newest) _newest = view.Epoch;
        foreach (var node in view.Leaving.Keys) _leaving.TryAdd(node, (view.Term, view.Epoch));
    }

    /// <summary>Drained before the deadline: in calm, a machine that was told in good time has left by then.</summary>
    private void OnDeadline(SimNode node)
    {
        if (node.Process.IsDead || node.IsRemoved || !_draw.AlwaysKeepsServing || !_draw.IsQuick) return;
        if (node.Deadline - node.NoticedAt < GoodGrace || !_cluster.Calm.Since(node.NoticedAt - CalmFor)) return;
        if (!_cluster.Staying.Any()) return;
        _world.Break($"{node.Name} has not been released by its deadline, notice came at {node.NoticedAt}");
    }

    /// <summary>A replica that serves is not given back before what follows it serves: each of its replicas is joined,
    /// and has said that it goes on with what it was handed.</summary>
    private void OnReleasing(SimReplica replica, SimStage stage)
    {
        if (!_draw.AlwaysKeepsServing || !replica.HasServed || !replica.IsWhole) return;
        if (!_cluster.Calm.Lasts(CalmFor)) return;
        if (_cluster.DataPlane.NextOpen(replica.Epoch) is not { } next)
        {
            if (_drained.Contains((replica.Epoch, replica.Index))) return;
            _world.Break($"{stage.Assignment.Position} of {replica.Epoch} is released and nothing follows it");
            return;
        }

        foreach (var successor in _cluster.DataPlane.ReplicasOf(next))
        {
            if (successor.IsWhole && (_serving.Contains((next, successor.Index)) || !Expects(successor))) continue;
            _world.Break(
                $"{stage.Assignment.Position} of {replica.Epoch} is released before replica {successor.Index} of "
                + $"{next} serves");
        }
    }

    private bool Expects(SimReplica replica) => _expecting.Contains((replica.Epoch, replica.Index));

    private void CheckMemory()
    {
        foreach (var node in _cluster.Nodes.Where(node => !node.Process.IsDead))
        {
            foreach (var runtime in node.Runtimes.Where(runtime => runtime.BytesInUse > runtime.MemoryBytes))
            {
                _world.Break($"{node.Name} uses {runtime.BytesInUse} bytes of {runtime.MemoryBytes}");
            }
        }
    }
}
