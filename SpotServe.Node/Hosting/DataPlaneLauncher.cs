using System.Net;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

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
        var endpoints = position.Layout.Placement.Distinct().ToDictionary(
            device => device, device => IPEndPoint.Parse(position.Endpoints[device.Node]));
        var links = await dataPlane.ConnectAsync(
            position.Layout, position.Epoch, assignment.Position, endpoints, connectMax, cancel).ConfigureAwait(false);
        return new RunningStage(links, engine, StepPlanLimits.Of(assignment, model), onFailed);
    }

    public ISliceFetcher FetcherFor(Epoch epoch, IReadOnlyDictionary<string, string> endpoints) => NoPeers.Instance;

    private sealed class RunningStage : IRunningStage
    {
        private readonly StageRunner _runner;

        public RunningStage(StageLinks links, IStageEngine engine, StepPlanLimits limits, Action<Exception> onFailed)
        {
            _runner = new StageRunner(engine, links, limits, onFailed);
            Pipeline = links.Leader is { } leader ? new StepPipeline(leader, limits) : null;
            _runner.Start();
        }

        public IStepPipeline? Pipeline { get; }

        public Task Stopped => _runner.Completion;

        public void Dispose()
        {
            Pipeline?.Dispose();
            _runner.Dispose();
        }
    }
}
