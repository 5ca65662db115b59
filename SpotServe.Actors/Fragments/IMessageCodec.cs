using Akka.Actor;
using SpotServe.Actors.Serialization;

namespace SpotServe.Actors.Fragments;

/// <summary>Writes whole messages and reads them. A seam, because a simulation has no serializer.</summary>
internal interface IMessageCodec
{
    /// <exception cref="System.Runtime.Serialization.SerializationException">It has a part that may not be sent, or
    /// takes more than <see cref="FragmentLimits.MessageBytesMax"/>.</exception>
    byte[] Write(object message);

    /// <exception cref="System.Runtime.Serialization.SerializationException">The bytes are no message.</exception>
    object Read(byte[] bytes);
}

/// <summary>The serializer that also writes messages that go whole, with the same closed list of types.</summary>
internal sealed class SerializerCodec(ExtendedActorSystem system) : IMessageCodec
{
    private readonly Lazy<HyperionMessageSerializer> _serializer = new(() =>
        (HyperionMessageSerializer)system.Serialization.FindSerializerForType(typeof(FragmentProtocol.Fragment)));

    // Outside of Akka.Remote's own threads nothing says by which address others know this process's actors.
    public byte[] Write(object message) => Akka.Serialization.Serialization.WithTransport(
        system, (_serializer.Value, message),
        static what => what.Value.Write(what.message, FragmentLimits.MessageBytesMax));

    public object Read(byte[] bytes) => _serializer.Value.Read(bytes, FragmentLimits.MessageBytesMax);
}
