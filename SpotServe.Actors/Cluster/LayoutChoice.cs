using System.Collections.Immutable;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>Outcome of choosing a layout for the nodes that reported.</summary>
public abstract record LayoutChoice
{
    private LayoutChoice()
    {
    }

    /// <param name="PagesPerReplica">KV pages of each replica.</param>
    public sealed record Chosen(Layout Layout, ImmutableArray<int> PagesPerReplica) : LayoutChoice;

    public sealed record Impossible(string Reason) : LayoutChoice;

    /// <summary>
    /// The wanted degrees when the devices allow them, else the largest layout that they do. Pure.
    /// </summary>
    /// <param name="nodes">Nodes in a stable order: the order decides the placement.</param>
    public static LayoutChoice For(PlannerOptions options, ModelSpec model, IReadOnlyList<NodeInfo> nodes)
    {
        var memory = nodes
            .SelectMany(node => node.Devices.Select(
                device => (Id: new DeviceId(node.Node, device.Index), device.MemoryBytes)))
            .ToDictionary(device => device.Id, device => device.MemoryBytes);
        var devices = nodes
            .SelectMany(node => node.Devices.Select(device => new DeviceId(node.Node, device.Index)))
            .ToArray();
        if (devices.Length == 0) return new Impossible("no node has reported");
        var degrees = options.Wanted is { } wanted
            && LayoutConstraints.Violation(wanted, model.LayerCount, model.HeadCount, devices.Length) is null
                ? wanted
                : LayoutConstraints.Default(model.LayerCount, model.HeadCount, devices.Length, options.SequencesMax);
        if (degrees is not { } chosen)
        {
            return new Impossible($"no layout of {model.Name} fits {devices.Length} devices");
        }

        var layout = LayoutAssembly.InOrder(chosen, model.LayerCount, devices);
        var pages = LayoutAssembly.PagesPerReplica(
            model, layout, position => memory[layout.DeviceAt(position)], options.WorkingBytes);
        var needed = KvPage.Count(model.ContextMax);
        return pages.Any(count => count < needed)
            ? new Impossible(ShortOfMemory(model, layout, memory, needed, options.WorkingBytes))
            : new Chosen(layout, pages);
    }

    private static string ShortOfMemory(
        ModelSpec model, Layout layout, Dictionary<DeviceId, long> memory, int pages, long workingBytes)
    {
        var (position, shortage) = layout.Positions
            .Select(p => (p, LayoutAssembly.WeightBytes(model, layout, p) + workingBytes
                + (pages * LayoutAssembly.KvPageBytes(model, layout, p)) - memory[layout.DeviceAt(p)]))
            .MaxBy(pair => pair.Item2);
        return $"layout {layout.Degrees} is short of {shortage / 1e6:N0} MB on device {layout.DeviceAt(position)} at " +
            $"position {position} (weights, {workingBytes / 1e6:N0} MB of buffers and the cache of one full " +
            "context); add nodes or give them more --memory";
    }
}
