using System.Collections.Immutable;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>Which degrees a set of devices serves with, and how many KV pages they leave room for. Pure.</summary>
internal static class LayoutChoice
{
    /// <summary>The wanted degrees when the devices allow them, else the largest layout that they do.</summary>
    /// <returns>Null when no layout of the model fits that many devices.</returns>
    public static LayoutDegrees? Degrees(PlannerOptions options, LayoutDegrees? wanted, ModelSpec model, int devices)
    {
        if (devices == 0) return null;
        return wanted is { } degrees
            && LayoutConstraints.Violation(degrees, model.LayerCount, model.HeadCount, devices) is null
                ? degrees
                : LayoutConstraints.Default(model.LayerCount, model.HeadCount, devices, options.SequencesMax);
    }

    /// <summary>KV pages of each replica of a layout.</summary>
    /// <param name="memoryBytes">Usable bytes of the device on a position, weights included.</param>
    /// <exception cref="NoLayoutException">A replica could not hold one full context; says what is short
    /// where.</exception>
    public static ImmutableArray<int> Pages(
        PlannerOptions options, ModelSpec model, Layout layout, Func<Position, long> memoryBytes)
    {
        var pages = LayoutAssembly.PagesPerReplica(model, layout, memoryBytes, options.WorkingBytes);
        var needed = KvPage.Count(model.ContextMax);
        if (pages.All(count => count >= needed)) return pages;
        var (position, shortage) = layout.Positions
            .Select(p => (p, LayoutAssembly.WeightBytes(model, layout, p) + options.WorkingBytes
                + (needed * LayoutAssembly.KvPageBytes(model, layout, p)) - memoryBytes(p)))
            .MaxBy(pair => pair.Item2);
        throw new NoLayoutException(
            $"layout {layout.Degrees} is short of {shortage / 1e6:N0} MB on device {layout.DeviceAt(position)} at " +
            $"position {position} (weights, {options.WorkingBytes / 1e6:N0} MB of buffers and the cache of one full " +
            "context); add nodes or give them more --memory");
    }
}
