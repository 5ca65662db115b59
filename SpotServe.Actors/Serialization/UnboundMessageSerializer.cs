using Akka.Actor;
using Akka.Configuration;

namespace SpotServe.Actors.Serialization;

/// <summary>
/// Stands where Akka has its JSON serializer for everything that no binding names. That one takes any type and, when
/// reading, makes whatever type the bytes name; here both ways are closed.
/// </summary>
internal sealed class UnboundMessageSerializer : Akka.Serialization.Serializer
{
    /// <param name="settings">What Akka configures for the replaced serializer; nothing here heeds it.</param>
    public UnboundMessageSerializer(ExtendedActorSystem system, Config settings)
        : base(system)
    {
    }

    /// <summary>The number of the serializer that it replaces, so that bytes meant for that one end here.</summary>
    public override int Identifier => 1;

    public override bool IncludeManifest => false;

    public override byte[] ToBinary(object obj) => throw new UnknownMessageTypeException(
        obj.GetType().FullName ?? obj.GetType().Name,
        "no serializer is bound to it; messages between nodes are records of a protocol in SpotServe.Actors.");

    public override object FromBinary(byte[] bytes, Type type) => throw new UnknownMessageTypeException(
        type?.FullName ?? "(unnamed)", "it was sent as JSON, which is not accepted.");
}
