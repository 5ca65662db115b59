using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>How many KV pages a layout leaves room for.</summary>
internal static class PageCounts
{
    /// <summary>KV pages of each replica of a layout that has its devices for itself.</summary>
    /// <param name="memoryBytes">Usable bytes of the device on a position, weights included.</param>
    /// <exception cref="NoLayoutException">A replica could not hold one full context; says what is short
    /// where.</exception>
    public static ImmutableArray<int> Alone(
        ModelSpec model, Layout layout, Func<Position, long> memoryBytes, long workingBytes)
    {
        var pages = LayoutAssembly.PagesPerReplica(model, layout, memoryBytes, workingBytes);
        var needed = KvPage.Count(model.ContextMax);
        if (pages.All(count => count >= needed)) return pages;
        var (position, shortage) = layout.Positions
            .Select(p => (p, LayoutAssembly.WeightBytes(model, layout, p) + workingBytes
                + (needed * LayoutAssembly.KvPageBytes(model, layout, p)) - memoryBytes(p)))
            .MaxBy(pair => pair.Item2);
        throw new NoLayoutException(
            $"layout {layout.Degrees} is short of {shortage / 1e6:N0} MB on device {layout.DeviceAt(position)} at " +
            $"position {position} (weights, {workingBytes / 1e6:N0} MB of buffers and the cache of one full " +
            "context); add nodes or give them more --memory");
    }
}
