namespace SpotServe.Actors.Planning;

/// <summary>
/// How much of their machine's processor the devices that run at once ask for: 1 is all of it, and twice is what makes
/// everything take twice as long, by the share alone. What step times teach is kept by level of it, in half powers of
/// two, because memory bandwidth and turns slow neighbours down by more than their share. Devices with processors of
/// their own are all on level 0.
/// </summary>
internal static class ProcessorDemand
{
    /// <summary>Half of the processor: with less, nobody slows anybody down.</summary>
    public const int LevelMin = -2;

    public const int LevelMax = 6;

    /// <param name="demand">Positive.</param>
    public static int LevelOf(double demand) => (int)Math.Round(Exact(demand));

    /// <summary>A level as it is before it is rounded, within the limits.</summary>
    public static double Exact(double demand) => Math.Clamp(2 * Math.Log2(demand), LevelMin, LevelMax);
}

/// <summary>What step times taught of the slowing by neighbours: how many times as long as its share of the processor
/// says a replica takes, compared with what it takes almost alone.</summary>
/// <param name="Levels">From <see cref="ProcessorDemand.LevelMin"/> upwards, each above 0.</param>
public sealed record NeighbourSlowing(double[] Levels)
{
    /// <summary>Between two levels in proportion, in logarithms.</summary>
    /// <param name="demand">Positive: that of all devices that run at once.</param>
    public double At(double demand)
    {
        var exact = ProcessorDemand.Exact(demand) - ProcessorDemand.LevelMin;
        var low = Math.Min((int)exact, Levels.Length - 2);
        return Levels[low] * Math.Pow(Levels[low + 1] / Levels[low], exact - low);
    }
}
