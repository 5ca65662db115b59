using Akka.Hosting;

namespace SpotServe.Actors.Serialization;

/// <summary>Sets up how messages cross nodes.</summary>
public static class SerializationHosting
{
    /// <summary>
    /// Sends the protocols' records with <see cref="HyperionMessageSerializer"/> and refuses all other types but
    /// Akka's own.
    /// </summary>
    public static AkkaConfigurationBuilder AddSpotServeSerialization(this AkkaConfigurationBuilder builder) => builder
        .AddHocon(
            $"akka.actor.serializers.json = \"{typeof(UnboundMessageSerializer).AssemblyQualifiedName}\"",
            HoconAddMode.Prepend)
        .WithCustomSerializer(
            "spotserve-messages",
            MessageTypes.OfSpotServe.Messages,
            system => new HyperionMessageSerializer(system));
}
