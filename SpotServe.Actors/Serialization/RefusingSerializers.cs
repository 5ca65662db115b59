using Akka.Actor;
using Akka.Serialization;

namespace SpotServe.Actors.Serialization;

/// <summary>
/// Takes the number of one of Akka's serializers that nobody here uses, and refuses what comes for it: most of them
/// construct whatever type the bytes name.
/// </summary>
internal abstract class RefusingSerializer : Serializer
{
    private readonly string _what;

    private protected RefusingSerializer(ExtendedActorSystem system, int identifier, string what)
        : base(system)
    {
        Identifier = identifier;
        _what = what;
    }

    public override int Identifier { get; }

    public override bool IncludeManifest => false;

    public override byte[] ToBinary(object obj) => throw Refusal(obj.GetType().FullName);

    public override object FromBinary(byte[] bytes, Type type) => throw Refusal(type?.FullName);

    private UnknownMessageTypeException Refusal(string? type) => new(
        type ?? "(unnamed)", $"it belongs to {_what}, which has no use here and is not accepted.");
}

/// <summary>Deploying an actor of any type on another process.</summary>
internal sealed class NoRemoteDeployment(ExtendedActorSystem system)
    : RefusingSerializer(system, 3, "remote deployment");

/// <summary>Any type that is a protocol buffer.</summary>
internal sealed class NoProtocolBuffers(ExtendedActorSystem system)
    : RefusingSerializer(system, 2, "protocol buffers as messages");

/// <summary>Events with their types' names; the journal has a serializer of its own.</summary>
internal sealed class NoPersistentMessages(ExtendedActorSystem system)
    : RefusingSerializer(system, 7, "persistent messages between processes");

/// <summary>Snapshots with their types' names.</summary>
internal sealed class NoSnapshots(ExtendedActorSystem system)
    : RefusingSerializer(system, 8, "snapshots");

/// <summary>Messages in messages.</summary>
internal sealed class NoPublishSubscribe(ExtendedActorSystem system)
    : RefusingSerializer(system, 9, "publish and subscribe");

/// <summary>Processes outside of the cluster that send into it.</summary>
internal sealed class NoClusterClient(ExtendedActorSystem system)
    : RefusingSerializer(system, 15, "the cluster client");

/// <summary>Messages in messages.</summary>
internal sealed class NoReliableDelivery(ExtendedActorSystem system)
    : RefusingSerializer(system, 36, "reliable delivery");

/// <summary>Streams between processes, with their elements' types' names.</summary>
internal sealed class NoStreamReferences(ExtendedActorSystem system)
    : RefusingSerializer(system, 30, "streams between processes");
