using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fleet;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Api;

/// <summary>GET /admin/fleet.</summary>
/// <param name="Wish">Null before the first decision.</param>
/// <param name="Manager">Null where nodes are started by hand, and while the fleet manager moves.</param>
internal sealed record FleetBody(
    FleetWishBody? Wish, IReadOnlyList<FleetNodeBody> Nodes, FleetProtocol.FleetReport? Manager)
{
    public static FleetBody Of(ClusterProtocol.FleetTold told, FleetProtocol.FleetReport? report) => new(
        told.Wish is { } wish ? FleetWishBody.Of(wish) : null, [.. told.Nodes.Select(FleetNodeBody.Of)], report);
}

/// <param name="Delta">Machines to start less those to give back.</param>
internal sealed record FleetWishBody(
    string Layout,
    int Needed,
    int Spares,
    int Present,
    int Delta,
    FleetAdditionBody? Add,
    IReadOnlyList<string> Release,
    string Reason)
{
    public static FleetWishBody Of(FleetWish wish) => new(
        wish.Wanted.ToString(), wish.Needed, wish.Spares, wish.Present, wish.Delta,
        wish.Add is { } add
            ? new FleetAdditionBody(add.InstanceType, add.Kind, add.DevicesEach, add.Count, add.AtOnce)
            : null,
        wish.Release, wish.Reason);
}

/// <param name="AtOnce">Of the count: to be asked for as spot and as on-demand machines together.</param>
internal sealed record FleetAdditionBody(string InstanceType, string Kind, int DevicesEach, int Count, int AtOnce);

internal sealed record FleetNodeBody(
    string Node,
    string InstanceType,
    bool Spot,
    double PricePerHour,
    string Zone,
    string Kind,
    int Devices,
    DateTimeOffset? LeavesAt,
    bool Serves)
{
    public static FleetNodeBody Of(FleetNode node) => new(
        node.Node, node.Machine.InstanceType, node.Machine.IsSpot, node.Machine.PricePerHour, node.Machine.Zone,
        node.Kind, node.Devices, node.LeavesAt, node.Serves);
}
