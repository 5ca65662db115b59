using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Machines that the cluster wants or can do without: what somebody who starts and stops machines acts
/// on.</summary>
/// <param name="Wanted">The layout that the load asks for, with as many machines as may be had.</param>
/// <param name="Needed">Machines that it takes.</param>
/// <param name="Spares">Machines that are kept beside those, against the next preemption.</param>
/// <param name="Present">Machines that are here and stay.</param>
/// <param name="Add">What to start; null when nothing is missing.</param>
/// <param name="Release">Nodes to give back, the first one first.</param>
/// <param name="Reason">In a person's words.</param>
public sealed record FleetWish(
    LayoutDegrees Wanted,
    int Needed,
    int Spares,
    int Present,
    FleetAddition? Add,
    ImmutableArray<string> Release,
    string Reason)
{
    /// <summary>Whether <see cref="Needed"/> is what the load takes; else the layout takes whatever is here.</summary>
    public bool IsForLoad { get; init; }

    /// <summary>Machines to start less those to give back: the delta of Algorithm 1.</summary>
    public int Delta => (Add?.Count ?? 0) - Release.Length;

    /// <summary>Whether one who acts would do the same.</summary>
    public bool IsSameAs(FleetWish? other) => other is not null && Needed == other.Needed && Present == other.Present
        && IsForLoad == other.IsForLoad && Add == other.Add && Spares == other.Spares
        && Release.SequenceEqual(other.Release);

    public override string ToString() => (Add, Release.Length) switch
    {
        ({ } add, _) => $"wants {add}: {Reason}",
        (null, > 0) => $"can do without {string.Join(", ", Release)}: {Reason}",
        _ => $"wants no other machines: {Reason}",
    };
}

/// <summary>Machines to start.</summary>
/// <param name="InstanceType">As the cloud calls it; empty when nodes have not said.</param>
/// <param name="Kind">Its devices, as nodes of the type measured them.</param>
/// <param name="Count">In all, spares included.</param>
/// <param name="AtOnce">Of these, what the load lacks now: to be asked for as spot and as on-demand machines together,
/// and what comes second is given back (the paper's way). The others are spot machines and can wait.</param>
public sealed record FleetAddition(string InstanceType, string Kind, int DevicesEach, int Count, int AtOnce)
{
    public override string ToString() =>
        $"{Count} more {(InstanceType.Length > 0 ? InstanceType : $"machines with {DevicesEach} x {Kind}")}, "
        + $"{AtOnce} of them at once";
}

/// <summary>Bounds of what is wished for.</summary>
public sealed record FleetRules
{
    /// <summary>Most machines that are wished for at a time.</summary>
    public int AddMax
    {
        get;
        init => field = Bounds.Between(value, 0, 1024);
    } = 16;

    /// <summary>Machines kept beside those of the layout.</summary>
    public int Spares
    {
        get;
        init => field = Bounds.Between(value, 0, 1024);
    }

    /// <summary>While nothing changes, the wish is thought over this often.</summary>
    public TimeSpan Period { get; init; } = TimeSpan.FromSeconds(10);
}
