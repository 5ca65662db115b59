using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>
/// Everything that a change of layout is planned from, as data: the planner writes it, and who reads it plans the same.
/// </summary>
/// <param name="Instances">Machines that stay (or have joined); those that leave appear in <see cref="Leaving"/>
/// only.</param>
/// <param name="Links">Usual rates, of nodes that <see cref="LinksOf"/> does not name.</param>
public sealed record PlanningInputs(
    ModelSpec Model, ImmutableArray<Instance> Instances, Workload Load, LinkRates Links)
{
    private CountedFleet? _counted;

    /// <summary>Machines that stay, or have joined.</summary>
    public ImmutableArray<Instance> Instances
    {
        get;
        init => (field, _counted) = (value, null);
    } = Instances;

    /// <summary>The instances, counted by kind.</summary>
    internal CountedFleet Counted
    {
        get => _counted ??= new CountedFleet(Instances);
        init => _counted = value;
    }

    /// <summary>Rates of nodes that differ from <see cref="Links"/>.</summary>
    public ImmutableDictionary<string, LinkRates> LinksOf { get; init; } =
        ImmutableDictionary<string, LinkRates>.Empty;

    /// <summary>Times that were measured for this model; null estimates them from the devices' rates.</summary>
    public ProfileTable? Profile { get; init; }

    /// <summary>What measured step times have taught.</summary>
    public CostCorrections Corrections { get; init; } = CostCorrections.None;

    /// <summary>What layouts are chosen for, and among which; null fills the devices with one replica, whatever the
    /// load.</summary>
    public SearchOptions? Search { get; init; } = new();

    /// <summary>By this share another layout has to be better than the one that serves.</summary>
    public double Margin { get; init; } = 0.2;

    /// <summary>Degrees that an operator asked for; they hold wherever the devices allow them.</summary>
    public LayoutDegrees? Wanted { get; init; }

    /// <summary>B of a layout that is not searched for.</summary>
    public int SequencesMax { get; init; } = 64;

    /// <summary>Kept free on each device for activations and temporaries.</summary>
    public long WorkingBytes { get; init; } = 256L << 20;

    /// <summary>What serves now, if something does.</summary>
    public ServingLayout? Serving { get; init; }

    /// <summary>What every device that can be reached holds, those that leave included.</summary>
    public ImmutableArray<Holding> Holdings { get; init; } = [];

    /// <summary>The requests in the caches of the replicas that serve now.</summary>
    public ImmutableArray<ReplicaCache> Caches { get; init; } = [];

    /// <summary>Nodes that go away, with the time that is left to them.</summary>
    public ImmutableDictionary<string, TimeSpan> Leaving { get; init; } = ImmutableDictionary<string, TimeSpan>.Empty;

    /// <summary>Until instances that are part of the plan are ready; null when all are.</summary>
    public TimeSpan? JoinIn { get; init; }

    /// <summary>Nodes with the model on their local disk.</summary>
    public ImmutableHashSet<string> DiskNodes { get; init; } = [];

    public MappingLevels Levels { get; init; } = MappingLevels.Two;

    /// <summary>Whether what serves goes on while bytes move, or stops first as in the paper.</summary>
    public MigrationMode Mode { get; init; } = MigrationMode.CopyWhileServing;

    /// <summary>Time of a cut-over beside its transfers.</summary>
    public TimeSpan CutOverOverhead { get; init; }

    /// <summary>The serving layout's step time; null lets the cost model say.</summary>
    public StepClock? Clock { get; init; }

    /// <summary>How fast replicas are.</summary>
    public CorrectedCostModel CostModel() => new CorrectedCostModel(
        Profile is { } profile ? new ProfileCostModel(profile) : new RooflineCostModel(new SliceGeometry(Model), Links),
        Corrections);

    /// <exception cref="PlanningException">A name is doubled, or a number is not usable.</exception>
    public void Require()
    {
        Counted.Require();
        Load.Require();
        Links.Require();
        Corrections.Require();
        Inputs.Positive(Margin, "The margin by which a layout has to be better");
        Inputs.Between(SequencesMax, 1, SearchOptions.BatchSizeMax, "The sequences of a replica");
        Inputs.AtLeast(WorkingBytes, 0, "The memory kept free for buffers");
        if (Leaving.IsEmpty) return;
        foreach (var instance in Instances)
        {
            if (Leaving.ContainsKey(instance.Node))
                throw new DuplicateIdException("instance (it both stays and leaves)", instance.Node);
        }
    }
}

/// <summary>A layout that serves.</summary>
/// <param name="Pages">KV pages of each replica.</param>
public sealed record ServingLayout(Layout Layout, ImmutableArray<int> Pages);
