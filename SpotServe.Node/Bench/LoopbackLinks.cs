using System.Net;
using SpotServe.Actors.DataPlane;

namespace SpotServe.Node.Bench;

/// <summary>The links of all positions of a replica, made as nodes make them: with listeners and handshakes over
/// loopback where positions are of different nodes.</summary>
internal static class LoopbackLinks
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);

    /// <param name="nodeOf">Name of the node that has a rank of a stage.</param>
    /// <returns>By stage, then by rank; the caller's to dispose of.</returns>
    public static async Task<List<StageLinks>> ConnectAsync(
        int stages, int ranks, Func<int, int, string> nodeOf, CancellationToken cancel)
    {
        var secret = new ClusterSecret("for this benchmark only");
        var devices = Enumerable.Range(0, stages * ranks)
            .Select(index => new DeviceId(nodeOf(index / ranks, index % ranks), index)).ToList();
        var nodes = devices.Select(device => device.Node).Distinct().ToDictionary(name => name, _ => new DataPlaneNode(
            new DataPlaneOptions { Secret = secret, Listen = new IPEndPoint(IPAddress.Loopback, 0) },
            TimeProvider.System));
        try
        {
            var endpoints = devices.ToDictionary(device => device, device => nodes[device.Node].Endpoint);
            var layout = new Layout(
                new LayoutDegrees(1, stages, ranks, 1), Layout.EvenStages(stages, 1, stages), [.. devices]);
            var connecting = layout.Positions.Select(position => nodes[layout.DeviceAt(position).Node].ConnectAsync(
                layout, new Epoch(1), position, endpoints, ConnectTimeout, cancel));
            return [.. await Task.WhenAll(connecting).ConfigureAwait(false)];
        }
        finally
        {
            // The links live on without the listeners.
            foreach (var node in nodes.Values) node.Dispose();
        }
    }
}
