using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Gateway;

/// <summary>What an operator can ask of the cluster. Implemented over the planner, and by a fake in tests.</summary>
public interface IClusterOperator
{
    /// <summary>Treats a node as if its cloud had given it notice.</summary>
    /// <returns>Null when the node was told, else why not.</returns>
    /// <exception cref="PlannerSilentException">The planner did not answer in time.</exception>
    Task<string?> PreemptAsync(string node, TimeSpan grace, CancellationToken cancel);

    /// <summary>Has the cluster serve with these degrees; null lets it choose.</summary>
    /// <returns>Null when it will be done, else why not.</returns>
    /// <exception cref="PlannerSilentException">The planner did not answer in time.</exception>
    Task<string?> ChangeLayoutAsync(LayoutDegrees? wanted, CancellationToken cancel);

    /// <summary>Has layouts chosen for an objective; null fills the devices with one replica.</summary>
    /// <exception cref="PlannerSilentException">The planner did not answer in time.</exception>
    Task ChangeObjectiveAsync(LayoutObjective? objective, CancellationToken cancel);

    /// <summary>Which machines there are, and which are wanted.</summary>
    /// <exception cref="PlannerSilentException">The planner did not answer in time.</exception>
    Task<FleetTold> FleetAsync(CancellationToken cancel);

    /// <summary>What the planner decides from, as <see cref="PlanningInputsJson"/> writes it.</summary>
    /// <exception cref="PlannerSilentException">The planner did not answer in time.</exception>
    Task<string> PlanningInputsAsync(CancellationToken cancel);

    /// <summary>The latest reconfigurations, oldest first.</summary>
    /// <exception cref="PlannerSilentException">The planner did not answer in time.</exception>
    Task<ImmutableArray<ReconfigurationRecord>> TimelineAsync(CancellationToken cancel);
}

/// <summary>No planner answered: it may be moving to another control node.</summary>
public sealed class PlannerSilentException(TimeSpan waited)
    : Exception($"The planner did not answer within {waited.TotalSeconds:0} s; it may be moving. Try again.");

/// <summary>Asks the planner, always with a limit.</summary>
/// <param name="planner">Lazy, because HTTP is set up before the actor system has started.</param>
public sealed class ClusterOperator(Lazy<IActorRef> planner) : IClusterOperator
{
    private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(5);

    public async Task<string?> PreemptAsync(string node, TimeSpan grace, CancellationToken cancel) =>
        (await AskAsync<OperatorAnswer>(new PreemptNode(node, grace, "admin"), cancel).ConfigureAwait(false)).Refusal;

    public async Task<string?> ChangeLayoutAsync(LayoutDegrees? wanted, CancellationToken cancel) =>
        (await AskAsync<OperatorAnswer>(new ChangeLayout(wanted), cancel).ConfigureAwait(false)).Refusal;

    public Task ChangeObjectiveAsync(LayoutObjective? objective, CancellationToken cancel) =>
        AskAsync<OperatorAnswer>(new ChangeObjective(objective), cancel);

    public async Task<ImmutableArray<ReconfigurationRecord>> TimelineAsync(CancellationToken cancel) =>
        (await AskAsync<Timeline>(new GetTimeline(), cancel).ConfigureAwait(false)).Reconfigurations;

    public Task<FleetTold> FleetAsync(CancellationToken cancel) => AskAsync<FleetTold>(new GetFleet(), cancel);

    public async Task<string> PlanningInputsAsync(CancellationToken cancel) =>
        (await AskAsync<PlanningInputsTold>(new GetPlanningInputs(), cancel).ConfigureAwait(false)).Json;

    private async Task<T> AskAsync<T>(object question, CancellationToken cancel)
    {
        try
        {
            return await planner.Value.Ask<T>(question, AnswerMax, cancel).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            throw new PlannerSilentException(AnswerMax);
        }
    }
}
