using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>The rates that sources are chosen by: what the operator states, else what nodes measured, else what is
/// usual. Pure.</summary>
/// <param name="Usual">Of nodes that measured nothing. They send as fast as any was seen to receive.</param>
/// <param name="Of">Of those that did.</param>
internal sealed record MeasuredLinks(LinkRates Usual, ImmutableDictionary<string, LinkRates> Of)
{
    /// <summary>From a process of a machine to another one of it, the waking of the thread that waits included:
    /// `SpotServe.Node bench --links` has a hand-off and back in 26 us on the CPU machine of docs/performance.md, and
    /// some more between processes that have other work.</summary>
    private const double LatencyWithinMachine = 3e-5;

    public static MeasuredLinks From(PlannerOptions options, ImmutableArray<NodeInfo> nodes)
    {
        var (links, stated) = (options.Links, options.Stated);
        var usual = links with
        {
            InterNode = stated.Peer ?? nodes.Max(node => node.Rates?.Peer) ?? links.InterNode,
            Disk = stated.Disk ?? links.Disk,
            LatencySeconds = nodes.Select(DeviceKinds.HostOf).Distinct().Skip(1).Any()
                ? links.LatencySeconds
                : Math.Min(links.LatencySeconds, LatencyWithinMachine),
        };
        return new MeasuredLinks(
            usual,
            nodes.Where(node => node.Rates is not null).ToImmutableDictionary(
                node => node.Node,
                node => usual with
                {
                    InterNode = stated.Peer ?? node.Rates!.Peer ?? usual.InterNode,
                    Disk = stated.Disk ?? node.Rates!.Disk ?? usual.Disk,
                }));
    }
}
