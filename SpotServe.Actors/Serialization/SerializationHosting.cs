using Akka.Actor;
using Akka.Hosting;
using SpotServe.Actors.Fragments;

namespace SpotServe.Actors.Serialization;

/// <summary>Sets up how messages cross nodes.</summary>
public static class SerializationHosting
{
    /// <summary>
    /// Sends the protocols' records with <see cref="HyperionMessageSerializer"/> and refuses all other types but
    /// Akka's own.
    /// </summary>
    public static AkkaConfigurationBuilder AddSpotServeSerialization(this AkkaConfigurationBuilder builder)
    {
        var only = new OnlySerializer();
        return builder
            .AddHocon(
                $"akka.actor.serializers.json = \"{typeof(UnboundMessageSerializer).AssemblyQualifiedName}\"",
                HoconAddMode.Prepend)
            .WithCustomSerializer("spotserve-messages", MessageTypes.OfSpotServe.Messages, only.Of)
            // It must be there before the first fragment comes.
            .AddStartup((system, _) => LargeMessages.Of(system));
    }

    /// <summary>
    /// One serializer for an actor system, however often it is asked for. Akka.DistributedData makes a Serialization of
    /// its own, with all serializers, when it first reads a register; ours compiles the code of all messages when it is
    /// made. That took the thread that reads from the peer for 5 to 10 s on a busy machine, heartbeats included.
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
