using System.Collections.Immutable;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>All connected links of one position in one epoch. Disposing closes them all, which the peers see.</summary>
public sealed class StageLinks : IDisposable
{
    internal StageLinks(
        StageTopology topology,
        ILink plans,
        ILink? activationsIn,
        ILink? activationsOut,
        ILink? results,
        ICollective collective,
        LeaderLinks? leader)
    {
        Topology = topology;
        Plans = plans;
        ActivationsIn = activationsIn;
        ActivationsOut = activationsOut;
        Results = results;
        Collective = collective;
        Leader = leader;
    }

    public StageTopology Topology { get; }

    public Position Self => Topology.Self;

    public ILink Plans { get; }

    /// <summary>From the previous stage; null on the first.</summary>
    public ILink? ActivationsIn { get; }

    /// <summary>To the next stage; null on the last.</summary>
    public ILink? ActivationsOut { get; }

    /// <summary>To the leader; on rank 0 of the last stage only.</summary>
    public ILink? Results { get; }

    /// <summary>Joins the ranks of this stage.</summary>
    public ICollective Collective { get; }

    /// <summary>The leader's ends, on position (d,0,0) only: what a <see cref="StepPipeline"/> is made of.</summary>
    public LeaderLinks? Leader { get; }

    public void Dispose()
    {
        // The collective first: it is what a thread in the middle of a step most likely waits on.
        Collective.Dispose();
        Plans.Dispose();
        ActivationsIn?.Dispose();
        ActivationsOut?.Dispose();
        Results?.Dispose();
        Leader?.Dispose();
    }
}

/// <summary>The leader's ends of a replica's links.</summary>
/// <param name="StageCount">P.</param>
/// <param name="Plans">To every rank, itself included.</param>
/// <param name="Results">From rank 0 of the last stage.</param>
public sealed record LeaderLinks(int StageCount, ImmutableArray<ILink> Plans, ILink Results) : IDisposable
{
    public void Dispose()
    {
        foreach (var link in Plans) link.Dispose();
        Results.Dispose();
    }
}
