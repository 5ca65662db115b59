using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// Writes and reads what is only said when a machine goes, where nobody waits for it: the code that does so is made for
/// each type when it is first used. Without this the first notice took 160 ms to the planner, and the second 11
/// (docs/adr/0090).
/// </summary>
internal static class MessageRehearsal
{
    private const string Nobody = "rehearsal";
    private static readonly DeviceId NoDevice = new(Nobody, 0);

    /// <summary>One of each, with all that may be left out in it.</summary>
    public static ImmutableArray<object> Messages { get; } =
    [
        new ClusterProtocol.PreemptNode(Nobody, TimeSpan.FromSeconds(1), Nobody),
        new ClusterProtocol.NodeNotice(Nobody, DateTimeOffset.UnixEpoch, Nobody),
        new ClusterProtocol.NodeReleased(Nobody),
        new ClusterProtocol.DeviceFailed(Epoch.None, NoDevice, Nobody, Nobody),
        new ReplicaControlProtocol.ReplicaLost(Epoch.None, 0, Nobody),
        new ClusterProtocol.ReleasePosition(Epoch.None, NoDevice, Trim: true),
        new ClusterProtocol.PositionReleased(Epoch.None, NoDevice),
    ];

    public static void Go(ActorSystem system)
    {
        foreach (var message in Messages)
        {
            var serializer = system.Serialization.FindSerializerFor(message);
            serializer.FromBinary(serializer.ToBinary(message), message.GetType());
        }
    }
}
