using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;

namespace SpotServe.Seed.Recorder;

/// <summary>Records what operators have the planner do. Changes nothing else.</summary>
internal sealed class RecordedOperator(IClusterOperator inner, ClusterRecorder recorder) : IClusterOperator
{
    /// <summary>A node's notice shows in the planner's views.</summary>
    public Task<string?> PreemptAsync(string node, TimeSpan grace, CancellationToken cancel) =>
        inner.PreemptAsync(node, grace, cancel);

    public async Task<string?> ChangeLayoutAsync(LayoutDegrees? wanted, CancellationToken cancel)
    {
        var at = recorder.Seconds;
        var refusal = await inner.ChangeLayoutAsync(wanted, cancel).ConfigureAwait(false);
        if (refusal is null) recorder.Write(new RecordedEntry.LayoutAsked(at, wanted));
        return refusal;
    }

    public async Task ChangeObjectiveAsync(LayoutObjective? objective, CancellationToken cancel)
    {
        var at = recorder.Seconds;
        await inner.ChangeObjectiveAsync(objective, cancel).ConfigureAwait(false);
        recorder.Write(new RecordedEntry.ObjectiveAsked(at, objective));
    }

    public Task<ClusterProtocol.FleetTold> FleetAsync(CancellationToken cancel) => inner.FleetAsync(cancel);

    public Task<string> PlanningInputsAsync(CancellationToken cancel) => inner.PlanningInputsAsync(cancel);

    public Task<ImmutableArray<ReconfigurationRecord>> TimelineAsync(CancellationToken cancel) =>
        inner.TimelineAsync(cancel);
}
