using SpotServe.Actors.Execution;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// Joins a loaded engine to the other positions of its layout and runs it, and reaches other devices' memory.
/// Implemented over the data plane.
/// </summary>
public interface IStageLauncher
{
    /// <summary>Connects all links of the position, then starts its engine thread.</summary>
    /// <param name="onFailed">Called at most once, from another thread, when the running stage cannot go on.</param>
    /// <exception cref="PeerLostException">Not all links came up in time.</exception>
    Task<IRunningStage> LaunchAsync(
        ClusterProtocol.ConnectPosition position,
        StageAssignment assignment,
        IStageEngine engine,
        Action<Exception> onFailed,
        CancellationToken cancel);

    /// <summary>What brings slices to this node for an epoch.</summary>
    /// <param name="endpoints">Data-plane endpoint ("host:port") of each node by name.</param>
    ISliceFetcher FetcherFor(Epoch epoch, IReadOnlyDictionary<string, string> endpoints);
}

/// <summary>
/// A stage whose engine thread runs. Disposal stops the thread and closes the links; the engine stays.
/// </summary>
public interface IRunningStage : IDisposable
{
    /// <summary>
    /// On the leader's position (d,0,0): the way into the replica. Null elsewhere. Owned by the stage.
    /// </summary>
    IStepPipeline? Pipeline { get; }

    /// <summary>Completes, never faulted, when the engine is not used any more: only then may it be disposed.</summary>
    Task Stopped { get; }
}
