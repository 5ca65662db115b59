using System.Collections.Immutable;
using Akka.Actor;
using Akka.Hosting;
using SpotServe.Actors.Fragments;

namespace SpotServe.Actors.Serialization;

/// <summary>Sets up how messages cross nodes.</summary>
public static class SerializationHosting
{
    /// <summary>
    /// Akka's serializers by their names, and what stands in their places: refusals, and those that let only some
    /// messages through. Akka's primitive, singleton and byte serializers name no types and nest nothing; they stay.
    /// </summary>
    private static readonly ImmutableDictionary<string, Type> Replaced = new Dictionary<string, Type>
    {
        ["json"] = typeof(UnboundMessageSerializer),
        ["daemon-create"] = typeof(NoRemoteDeployment),
        ["proto"] = typeof(NoProtocolBuffers),
        ["akka-persistence-message"] = typeof(NoPersistentMessages),
        ["akka-persistence-snapshot"] = typeof(NoSnapshots),
        ["akka-pubsub"] = typeof(NoPublishSubscribe),
        ["akka-cluster-client"] = typeof(NoClusterClient),
        ["akka-stream-ref"] = typeof(NoStreamReferences),
        ["reliable-delivery"] = typeof(NoReliableDelivery),
        ["akka-misc"] = typeof(MiscSerializer),
        ["akka-system-msg"] = typeof(SystemMessagesSerializer),
        ["akka-containers"] = typeof(SelectionSerializer),
        ["akka-cluster"] = typeof(ClusterSerializer),
        ["akka-sharding"] = typeof(ShardingSerializer),
        ["akka-data-replication"] = typeof(ReplicatorSerializer),
        ["akka-replicated-data"] = typeof(RegisterSerializer),
    }.ToImmutableDictionary();

    /// <summary>
    /// Sends the protocols' records with <see cref="HyperionMessageSerializer"/> and refuses all other types but
    /// Akka's own.
    /// </summary>
    public static AkkaConfigurationBuilder AddSpotServeSerialization(this AkkaConfigurationBuilder builder)
    {
        var only = new OnlySerializer();
        return builder
            .AddHocon(string.Concat(Replaced.Select(pair =>
                $"akka.actor.serializers.{pair.Key} = \"{pair.Value.AssemblyQualifiedName}\"\n")), HoconAddMode.Prepend)
            .WithCustomSerializer("spotserve-messages", MessageTypes.OfSpotServe.Messages, only.Of)
            // It must be there before the first fragment comes.
            .AddStartup((system, _) => LargeMessages.Of(system));
    }

    /// <summary>
    /// One serializer for an actor system, however often it is asked for. Akka.DistributedData makes a Serialization of
    /// its own, with all serializers, when it first reads a register: what ours has compiled would be compiled again,
    /// on the thread that reads from the peer.
    /// </summary>
    private sealed class OnlySerializer
    {
        private readonly Lock _lock = new();
        private HyperionMessageSerializer? _serializer;

        public HyperionMessageSerializer Of(ExtendedActorSystem system)
        {
            lock (_lock) return _serializer ??= new HyperionMessageSerializer(system);
        }
    }
}
