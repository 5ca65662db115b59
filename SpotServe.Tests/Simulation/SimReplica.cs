using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// The positions of one replica of one epoch, joined: steps go through its stages in order and take time. When one
/// position is closed or silent, the others fail, each in its own time.
/// </summary>
internal sealed class SimReplica
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromMilliseconds(20);
    private readonly SimWorld _world;
    private readonly SimDataPlane _dataPlane;
    private readonly Position[] _positions;
    private readonly Dictionary<Position, SimStage> _stages = [];
    private readonly List<Action> _whenJoined = [];
    private readonly Queue<Flow>[] _waiting;
    private readonly bool[] _isBusy;
    private bool _isJoined;

    public SimReplica(SimWorld world, SimDataPlane dataPlane, Epoch epoch, ReplicaPlacement replica)
    {
        (Epoch, Index) = (epoch, replica.Replica);
        _world = world;
        _dataPlane = dataPlane;
        _positions = [.. replica.PositionsOf(replica.Replica)];
        StageCount = replica.Degrees.Stages;
        _waiting = [.. Enumerable.Range(0, StageCount).Select(_ => new Queue<Flow>())];
        _isBusy = new bool[StageCount];
    }

    public Epoch Epoch { get; }

    public int Index { get; }

    public int StageCount { get; }

    /// <summary>It has run a step.</summary>
    public bool HasServed { get; private set; }

    /// <summary>All its stages are joined, open and within reach of each other.</summary>
    public bool IsWhole => _isJoined && _stages.Count == _positions.Length
        && _stages.Values.All(stage => !stage.IsClosed && stage.Node.Process.IsRunning)
        && Pairs.All(pair => _dataPlane.Reaches(pair.One, pair.Other));

    /// <summary>The node that plans its steps; null before it is there.</summary>
    public SimNode? Leader => _stages.GetValueOrDefault(_positions[0])?.Node;

    /// <summary>All stages that joined are closed.</summary>
    public bool IsOver => _stages.Count > 0 && _stages.Values.All(stage => stage.IsClosed || stage.Node.Process.IsDead);

    /// <summary>Ordered pairs of different nodes whose positions watch each other.</summary>
    public IEnumerable<(SimNode One, SimNode Other)> Pairs => _isJoined
        ? from one in Open
          from other in Open
          where one.Node != other.Node
          select (one.Node, other.Node)
        : [];

    private IEnumerable<SimStage> Open => _stages.Values.Where(stage => !stage.IsClosed);

    public void Join(SimStage stage, Action whenAllAreHere)
    {
        _stages[stage.Assignment.Position] = stage;
        _whenJoined.Add(whenAllAreHere);
        if (_isJoined || _stages.Count < _positions.Length) return;
        TryConnect();
    }

    /// <summary>Somebody wants a position closed that could go on.</summary>
    public void OnReleasing(SimStage stage) => _dataPlane.OnReleasing?.Invoke(this, stage);

    /// <summary>A position closed its links: its peers read an end of stream.</summary>
    public void OnClosed(SimStage closed)
    {
        foreach (var peer in Open.Where(peer => peer != closed)) Tell(peer, closed.Node, "it closed the connection");
    }

    /// <summary>All sockets of a process are closed.</summary>
    public void OnClosed(SimNode node)
    {
        if (!_isJoined || _stages.Values.All(stage => stage.Node != node)) return;
        foreach (var peer in Open.Where(peer => peer.Node != node)) Tell(peer, node, "it closed the connection");
    }

    /// <summary>The heartbeats of a node have not come for too long.</summary>
    public void OnSilent(SimNode watcher, SimNode silent)
    {
        foreach (var stage in Open.Where(stage => stage.Node == watcher).ToArray())
        {
            stage.Node.Process.Do(() => stage.Fail(new PeerLostException(silent.Name, "no heartbeat for 500 ms")
            {
                Node = silent.Name,
                IsSilent = true,
            }));
        }
    }

    public void Submit(StepPlan plan, Action<StepResult> onResult)
    {
        var copy = new StepPlan();
        copy.Load(plan.StepId, plan.Chunks, plan.Tokens, plan.Pages, plan.Shapes);
        Enqueue(0, new Flow(copy, onResult, []));
    }

    private void TryConnect()
    {
        var nodes = _stages.Values.Select(stage => stage.Node).Distinct().ToArray();
        // A position that is gone, or cut off, is waited for until the others' patience ends.
        if (_stages.Values.Any(stage => stage.IsClosed || stage.Node.Process.IsDead)) return;
        if (nodes.Any(one => nodes.Any(other => one != other && !_dataPlane.Reaches(one, other))))
        {
            _world.After(TimeSpan.FromSeconds(0.2), TryConnect);
            return;
        }

        _isJoined = true;
        foreach (var joined in _whenJoined) _world.After(_world.Between(0.0005, 0.005), joined);
    }

    private void Tell(SimStage peer, SimNode lost, string how)
    {
        _world.After(_world.Between(0.001, 0.02), () =>
        {
            if (peer.IsClosed) return;
            // An end of stream is sent again until it arrives.
            if (_world.Network.IsCut(peer.Node.Host, lost.Host)) _world.After(RetryAfter, () => Tell(peer, lost, how));
            else peer.Node.Process.Do(() => peer.Fail(new PeerLostException(lost.Name, how) { Node = lost.Name }));
        });
    }

    private void Enqueue(int stage, Flow flow)
    {
        _waiting[stage].Enqueue(flow);
        Pump(stage);
    }

    private void Pump(int stage)
    {
        if (_isBusy[stage] || !_waiting[stage].TryDequeue(out var flow)) return;
        _isBusy[stage] = true;
        var seconds = (0.002 + (0.0001 * flow.Plan.TokenCount)) * _dataPlane.Slowness;
        _world.After(TimeSpan.FromSeconds(seconds), () => Run(stage, flow));
    }

    private void Run(int index, Flow flow)
    {
        var ranks = _positions.Where(position => position.Stage == index).OrderBy(position => position.Rank)
            .Select(position => _stages[position]).ToArray();
        if (_stages.Values.Any(stage => stage.IsClosed)) return;   // never ends: the replica is lost
        if (!CanRun(ranks))
        {
            _world.After(RetryAfter, () => Run(index, flow));
            return;
        }

        var draws = new StepDraws();
        draws.Begin(flow.Plan);
        var failure = flow.Failure;
        try
        {
            failure ??= Step(index, ranks, flow, draws);
        }
        catch (EngineLostException error)
        {
            ranks[0].Node.Process.Do(() => ranks[0].Fail(error));
            return;
        }

        HasServed = true;
        _isBusy[index] = false;
        if (index == StageCount - 1)
        {
            var leader = _stages[_positions[0]];
            var result = failure is null
                ? draws.ToResult(flow.Plan.StepId)
                : new StepResult(flow.Plan.StepId, []) { Failure = failure };
            _world.After(TimeSpan.FromSeconds(0.0005), () => leader.Node.Process.Do(() =>
            {
                if (!leader.IsClosed) flow.OnResult(result);
            }));
        }
        else
        {
            Enqueue(index + 1, flow with
            {
                Activations = failure is null ? ranks[0].Engine.Output(flow.Plan.TokenCount).ToArray() : [],
                Failure = failure,
            });
        }

        Pump(index);
    }

    /// <summary>What the engine threads of a stage do with a step; a failure goes on in place of what they
    /// compute.</summary>
    private StepFailure? Step(int index, SimStage[] ranks, Flow flow, StepDraws draws)
    {
        var vocabulary = _dataPlane.VocabularySize;
        if (StepFailure.OfTokens(flow.Plan, vocabulary) is { } refused) return refused;
        if (index > 0)
        {
            foreach (var rank in ranks) flow.Activations.CopyTo(rank.Engine.Input(flow.Plan.TokenCount));
        }

        try
        {
            FakeStageEngine.StepTogether([.. ranks.Select(rank => rank.Engine)], flow.Plan, draws);
            return index == StageCount - 1 ? StepFailure.OfDrawn(flow.Plan, draws.Tokens, vocabulary) : null;
        }
        catch (Exception error) when (StepFailure.IsOfTheStep(error))
        {
            return StepFailure.Of(error);
        }
    }

    private bool CanRun(SimStage[] ranks)
    {
        var leader = _stages[_positions[0]].Node;
        var nodes = ranks.Select(rank => rank.Node).Append(leader).Distinct().ToArray();
        return nodes.All(one => nodes.All(other => _dataPlane.Reaches(one, other)));
    }

    private sealed record Flow(StepPlan Plan, Action<StepResult> OnResult, byte[] Activations)
    {
        public StepFailure? Failure { get; init; }
    }
}

/// <summary>One position's running stage. A closed one tells its peers; its engine is free a moment later.</summary>
internal sealed class SimStage : IRunningStage
{
    private readonly SimWorld _world;
    private readonly SimReplica _replica;
    private readonly Action<Exception> _onFailed;
    private readonly SimPipeline? _pipeline;
    private readonly TaskCompletionSource _stopped = new();
    private bool _hasFailed;

    public SimStage(
        SimWorld world,
        SimReplica replica,
        SimNode node,
        StageAssignment assignment,
        FakeStageEngine engine,
        Action<Exception> onFailed)
    {
        _world = world;
        _replica = replica;
        _onFailed = onFailed;
        Node = node;
        Assignment = assignment;
        Engine = engine;
        if (assignment.Position is { Stage: 0, Rank: 0 }) _pipeline = new SimPipeline(replica);
    }

    public SimNode Node { get; }

    public StageAssignment Assignment { get; }

    public FakeStageEngine Engine { get; }

    public bool IsClosed { get; private set; }

    public IStepPipeline? Pipeline => _pipeline;

    public Task Stopped => _stopped.Task;

    public void Fail(Exception error)
    {
        if (IsClosed || _hasFailed) return;
        _hasFailed = true;
        Close();
        _onFailed(error);
        _pipeline?.Lose(error);
    }

    public void Dispose()
    {
        if (!IsClosed && Node.Process is { IsRunning: true, IsStopping: false }) _replica.OnReleasing(this);
        Close();
        // A step that computes cannot be interrupted.
        _world.After(_world.Between(0, 0.05), () => _stopped.TrySetResult());
    }

    private void Close()
    {
        if (IsClosed) return;
        IsClosed = true;
        _replica.OnClosed(this);
    }
}

/// <summary>The leader's end of a simulated replica.</summary>
internal sealed class SimPipeline(SimReplica replica) : IStepPipeline
{
    private Action<StepResult>? _onResult;
    private Action<Exception>? _onLost;
    private bool _isOver;

    public int StageCount => replica.StageCount;

    public void Start(Action<StepResult> onResult, Action<Exception> onLost) =>
        (_onResult, _onLost) = (onResult, onLost);

    public void Submit(StepPlan plan)
    {
        if (_isOver) return;
        replica.Submit(plan, result =>
        {
            if (!_isOver) _onResult?.Invoke(result);
        });
    }

    public void Lose(Exception error)
    {
        if (_isOver) return;
        _isOver = true;
        _onLost?.Invoke(error);
    }

    public void Dispose() => _isOver = true;
}
