using System.Collections.Immutable;

namespace SpotServe.Actors.Fleet;

/// <summary>What a fleet may have and how long it waits for what.</summary>
public sealed record FleetLimits
{
    public const int SizeMax = 1024;

    /// <summary>Tag of this cluster's machines: only those that have it are ever touched.</summary>
    public required string Cluster { get; init; }

    /// <summary>Where machines may come from. Order says nothing.</summary>
    public required ImmutableArray<MachinePool> Pools
    {
        get;
        init => field = value.Length is >= 1 and <= 256
            ? value
            : throw new ArgumentOutOfRangeException(nameof(Pools), value.Length, "There must be 1 to 256 pools.");
    }

    /// <summary>Machines that there are even when nothing is to be done, until an operator states another
    /// number.</summary>
    public required int MachinesMin
    {
        get;
        init => field = Bounds.Between(value, 0, SizeMax);
    }

    /// <summary>Machines that exist at one time at most, those that are starting or ending included.</summary>
    public required int MachinesMax
    {
        get;
        init => field = Bounds.Between(value, 1, SizeMax);
    }

    /// <summary>Whether the load may want more machines than the size. Not where more of them add nothing, as processes
    /// that share one machine's processor.</summary>
    public bool FollowsLoad { get; init; } = true;

    /// <summary>Whether the cloud may choose among the spot pools that are about as good, because it knows where it has
    /// most machines. Where not, an order names one pool.</summary>
    public bool LetsCloudChoose { get; init; }

    /// <summary>Kept beside the size or what the load needs; spot only.</summary>
    public int Spares
    {
        get;
        init => field = Bounds.Between(value, 0, SizeMax);
    }

    /// <summary>Money an hour for all machines together; null: as much as the machines cost. With a limit, a pool of
    /// unknown price is not used.</summary>
    public double? PricePerHourMax
    {
        get;
        init => field = value is null ? null : Bounds.Between(value.Value, 0.0, 1e6);
    }

    /// <summary>Orders without an answer at one time.</summary>
    public int OrdersMax { get; init; } = 8;

    /// <summary>A machine is drained for so long at most before it is stopped.</summary>
    public TimeSpan DrainMax { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>What the load does not need any more is kept for so long: it may come back. On-demand machines go at
    /// once.</summary>
    public TimeSpan ShrinkAfter { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>From an order to its node in the cluster; later the machine is stopped and another is tried.</summary>
    public TimeSpan JoinMax { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>A machine that runs without its node, which was in the cluster, is stopped after this.</summary>
    public TimeSpan NodeGoneMax { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How often the cloud is asked which machines there are.</summary>
    public TimeSpan ListEvery { get; init; } = TimeSpan.FromSeconds(15);

    public TimeSpan PricesEvery { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>A machine that was launched may be missing in lists for so long.</summary>
    public TimeSpan ListLag { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>A pool that refused is left alone for this, twice as long after each further refusal, up to
    /// <see cref="BackOffMax"/>. The same holds for calls that were throttled or not answered.</summary>
    public TimeSpan BackOffMin { get; init; } = TimeSpan.FromSeconds(15);

    public TimeSpan BackOffMax { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>An order that nobody answers for so long is given up; should its machine exist after all, it is found
    /// by
    /// its tag.</summary>
    public TimeSpan OrderMax { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>A planner that has said nothing for so long has no wish that could be acted on.</summary>
    public TimeSpan WishMax { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>On-demand machines that take the money for more spot machines are given up one at a time, when no spot
    /// pool has refused for so long: whether there are spot machines is not known before.</summary>
    public TimeSpan MakeRoomAfter { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Longest time for one call to the cloud.</summary>
    public TimeSpan CallMax { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Back-off after so many failures in a row, the first one counted.</summary>
    public TimeSpan BackOff(int failures) => TimeSpan.FromTicks((long)Math.Min(
        BackOffMax.Ticks, BackOffMin.Ticks * Math.Pow(2, Math.Clamp(failures - 1, 0, 30))));
}
