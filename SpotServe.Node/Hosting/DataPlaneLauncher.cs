using System.Net;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Hosting;

/// <summary>Launches stages over the data plane of this process.</summary>
internal sealed class DataPlaneLauncher(DataPlaneNode dataPlane, ModelSpec model, TimeSpan connectMax) : IStageLauncher
{
    public async Task<IRunningStage> LaunchAsync(
        ClusterProtocol.ConnectPosition position,
        StageAssignment assignment,
        IStageEngine engine,
        Action<Exception> onFailed,
        CancellationToken cancel)
    {
        dataPlane.RetireBefore(position.Epoch);
        var endpoints = position.Replica.Devices.Distinct().ToDictionary(
            device => device, device => IPEndPoint.Parse(position.Endpoints[device.Node]));
        var links = await dataPlane.ConnectAsync(
            position.Replica, position.Epoch, assignment.Position, endpoints, connectMax, cancel).ConfigureAwait(false);
        var once = new FirstFailure(onFailed);
        var runner = new StageRunner(
            engine, links, StepPlanLimits.Of(assignment, model), once.Report, dataPlane.Pacer);
        return new RunningStage(links, StepPlanLimits.Of(assignment, model), runner, Watch(position, once));
    }

    public ISliceFetcher FetcherFor(Epoch epoch, IReadOnlyDictionary<string, string> endpoints) => dataPlane.Fetcher(
        epoch, device => endpoints.TryGetValue(device.Node, out var endpoint) ? IPEndPoint.Parse(endpoint) : null);

    /// <summary>A node that stops without closing its sockets leaves the others waiting in a step: its heartbeats
    /// tell.</summary>
    private IDisposable Watch(ClusterProtocol.ConnectPosition position, FirstFailure failure)
    {
        var peers = position.Replica.Devices
            .Select(device => device.Node)
            .Where(node => node != position.Device.Node)
            .Distinct()
            .ToDictionary(node => node, node => IPEndPoint.Parse(position.Endpoints[node]));
        return dataPlane.WatchPeers(
            peers,
            (node, reason) => failure.Report(new PeerLostException(node, reason) { Node = node, IsSilent = true }));
    }

    /// <summary>The engine thread and the heartbeats may both find the same loss: the owner hears of it once.</summary>
    private sealed class FirstFailure(Action<Exception> onFailed)
    {
        private int _reported;

        public void Report(Exception error)
        {
            if (Interlocked.Exchange(ref _reported, 1) == 0) onFailed(error);
        }
    }

    private sealed class RunningStage : IRunningStage
    {
        private readonly StageRunner _runner;
        private readonly IDisposable _watch;

        public RunningStage(StageLinks links, StepPlanLimits limits, StageRunner runner, IDisposable watch)
        {
            _runner = runner;
            _watch = watch;
            Pipeline = links.Leader is { } leader ? new StepPipeline(leader, limits) : null;
            _runner.Start();
        }

        public IStepPipeline? Pipeline { get; }

        public Task Stopped => _runner.Completion;

        public void Dispose()
        {
            // The thread ends whatever the others bring: its engine is waited for.
            try
            {
                _watch.Dispose();
                Pipeline?.Dispose();
            }
            finally
            {
                _runner.Dispose();
            }
        }
    }
}
