using SpotServe.Actors.Cluster;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;

namespace SpotServe.Tests.Simulation;

/// <summary>
/// The data plane between simulated nodes: joins positions to replicas, and tells them of a peer's end: at once when
/// its sockets close, after the heartbeats' half second when it is silent.
/// </summary>
internal sealed class SimDataPlane
{
    private static readonly TimeSpan ConnectMax = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan SilenceMax = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan CheckPeriod = TimeSpan.FromSeconds(0.1);
    private readonly SimWorld _world;
    private readonly Dictionary<string, SimNode> _nodes = [];
    private readonly Dictionary<(Epoch Epoch, int Replica), SimReplica> _replicas = [];
    private readonly Dictionary<(SimNode, SimNode), TimeSpan> _silentSince = [];

    /// <param name="vocabularySize">Tokens of the model.</param>
    public SimDataPlane(SimWorld world, int vocabularySize)
    {
        _world = world;
        VocabularySize = vocabularySize;
        Check();
    }

    public int VocabularySize { get; }

    /// <summary>How much longer than usual a step takes.</summary>
    public double Slowness { get; set; } = 1;

    /// <summary>Told of a stage that is closed because somebody wants it closed, before it is.</summary>
    public Action<SimReplica, SimStage>? OnReleasing { get; set; }

    public void Add(SimNode node) => _nodes.Add(node.Name, node);

    /// <summary>Null for one that never was; dead ones are found.</summary>
    public SimNode? Find(string name) => _nodes.GetValueOrDefault(name);

    /// <summary>Whether bytes of one process come to another now.</summary>
    public bool Reaches(SimNode from, SimNode to) =>
        from.Process.IsRunning && to.Process.IsRunning && !_world.Network.IsCut(from.Host, to.Host);

    /// <summary>Replicas of an epoch, whether they are joined or not.</summary>
    public IEnumerable<SimReplica> ReplicasOf(Epoch epoch) =>
        _replicas.Where(entry => entry.Key.Epoch == epoch).Select(entry => entry.Value);

    /// <summary>The first epoch after one that has open stages; null when there is none.</summary>
    public Epoch? NextOpen(Epoch epoch) => _replicas.Values.Where(replica => replica.Epoch > epoch && !replica.IsOver)
        .Select(replica => (Epoch?)replica.Epoch).Min();

    /// <summary>Nodes that a node computes together with now.</summary>
    public IEnumerable<SimNode> PeersOf(SimNode node) => _replicas.Values.SelectMany(replica => replica.Pairs)
        .Where(pair => pair.One == node).Select(pair => pair.Other).Distinct();

    /// <summary>The node of the first stage of a replica that runs on several nodes; null when there is none.</summary>
    public SimNode? LeaderOfPipeline() =>
        _replicas.Values.Where(replica => replica.Pairs.Any()).Select(replica => replica.Leader).FirstOrDefault();

    public Task<IRunningStage> LaunchAsync(
        SimNode node,
        ClusterProtocol.ConnectPosition connect,
        StageAssignment assignment,
        FakeStageEngine engine,
        Action<Exception> onFailed,
        CancellationToken cancel)
    {
        if (connect.Epoch < node.Retired)
        {
            return Task.FromException<IRunningStage>(new StaleEpochException(connect.Epoch, node.Retired));
        }

        node.Retired = connect.Epoch;
        var key = (connect.Epoch, assignment.Position.Replica);
        if (!_replicas.TryGetValue(key, out var replica))
        {
            replica = new SimReplica(_world, this, connect.Epoch, connect.Replica);
            _replicas[key] = replica;
        }

        var launched = new TaskCompletionSource<IRunningStage>();
        var stage = new SimStage(_world, replica, node, assignment, engine, onFailed);
        replica.Join(stage, () => node.Process.Do(() =>
        {
            if (!launched.TrySetResult(stage)) stage.Dispose();
        }));
        cancel.Register(() => GiveUp(new OperationCanceledException(cancel)));
        _world.After(ConnectMax, () => node.Process.Do(() => GiveUp(
            new PeerLostException("of the layout", $"it did not connect within {ConnectMax.TotalSeconds:0} s"))));
        return launched.Task;

        void GiveUp(Exception error)
        {
            if (launched.TrySetException(error)) stage.Dispose();
        }
    }

    /// <summary>A process ended: with closed sockets its peers know at once.</summary>
    public void OnDied(SimNode node)
    {
        foreach (var replica in _replicas.Values.ToArray()) replica.OnClosed(node);
    }

    private void Check()
    {
        foreach (var (key, replica) in _replicas.ToArray())
        {
            if (replica.IsOver) _replicas.Remove(key);
            else foreach (var (one, other) in replica.Pairs) CheckPair(replica, one, other);
        }

        _world.After(CheckPeriod, Check);
    }

    private void CheckPair(SimReplica replica, SimNode one, SimNode other)
    {
        if (Reaches(one, other))
        {
            _silentSince.Remove((one, other));
            return;
        }

        _silentSince.TryAdd((one, other), _world.Now);
        if (_world.Now - _silentSince[(one, other)] >= SilenceMax) replica.OnSilent(one, other);
    }
}

/// <summary>One node's way into the simulated data plane.</summary>
internal sealed class SimLauncher(SimWorld world, SimDataPlane dataPlane, SimNode node) : IStageLauncher
{
    public Task<IRunningStage> LaunchAsync(
        ClusterProtocol.ConnectPosition position,
        StageAssignment assignment,
        IStageEngine engine,
        Action<Exception> onFailed,
        CancellationToken cancel) =>
        dataPlane.LaunchAsync(node, position, assignment, (FakeStageEngine)engine, onFailed, cancel);

    public ISliceFetcher FetcherFor(Epoch epoch, IReadOnlyDictionary<string, string> endpoints) =>
        new SimFetcher(world, dataPlane, node, endpoints);
}
