using System.Collections.Immutable;
using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Dispatch.SysMsg;
using Akka.Remote.Serialization;
using Akka.Serialization;

namespace SpotServe.Actors.Serialization;

/// <summary>
/// Counts how deep messages contain messages, over all of Akka's serializers that have one inside another: each level
/// is a few hundred bytes of stack and about twenty on the wire, so a frame could hold more than a thread can take.
/// </summary>
internal static class Nesting
{
    /// <summary>A selection with a message, or a register with a value, have two.</summary>
    public const int LevelsMax = 6;

    [ThreadStatic]
    private static int _level;

    public static object Read(Func<object> read)
    {
        if (_level >= LevelsMax)
            throw new MessageFormatException($"More than {LevelsMax} messages are nested in each other.");
        _level++;
        try
        {
            return read();
        }
        catch (Exception error) when (error is not SerializationException)
        {
            // The edge to bytes from outside. Akka logs this kind of exception and drops the message; any other closes
            // the association, with a stack trace in the log.
            throw new MessageFormatException($"Damaged message: {error.Message}");
        }
        finally
        {
            _level--;
        }
    }
}

/// <summary>Takes the place of one of Akka's serializers that have manifests, and lets only some through.</summary>
internal abstract class GuardedManifestSerializer : SerializerWithStringManifest
{
    private readonly Lazy<SerializerWithStringManifest> _inner;
    private readonly ImmutableHashSet<string>? _manifests;

    /// <param name="identifier">Its number, which is part of the wire format.</param>
    /// <param name="inner">Assembly-qualified name of Akka's serializer; made when it is needed, because it reads
    /// settings that a process without its module does not have.</param>
    /// <param name="manifests">What is let through; null: everything, to a bounded depth.</param>
    private protected GuardedManifestSerializer(
        ExtendedActorSystem system, int identifier, string inner, ImmutableHashSet<string>? manifests = null)
        : base(system)
    {
        Identifier = identifier;
        _inner = new Lazy<SerializerWithStringManifest>(() => (SerializerWithStringManifest)Activator.CreateInstance(
            Type.GetType(inner, throwOnError: true)!, system)!);
        _manifests = manifests;
    }

    public override int Identifier { get; }

    public override string Manifest(object o) => _inner.Value.Manifest(o);

    public override byte[] ToBinary(object obj)
    {
        if (_manifests is not null) Require(Manifest(obj));
        return _inner.Value.ToBinary(obj);
    }

    public override object FromBinary(byte[] bytes, string manifest)
    {
        Require(manifest);
        return Nesting.Read(() => _inner.Value.FromBinary(bytes, manifest));
    }

    private void Require(string manifest)
    {
        if (_manifests?.Contains(manifest) != false) return;
        throw new UnknownMessageTypeException(
            $"{GetType().Name} {manifest}", "no process of the cluster has a reason to send it.");
    }
}

/// <summary>
/// What watching and finding actors takes. Exceptions (whose type the bytes name), routers, and messages that stop
/// actors are not let through.
/// </summary>
internal sealed class MiscSerializer(ExtendedActorSystem system) : GuardedManifestSerializer(
    system,
    16,
    "Akka.Remote.Serialization.MiscMessageSerializer, Akka.Remote",
    // Identify and its answer, a reference, and the heartbeat of those who watch each other with its answer.
    ["ID", "AID", "AR", "RWHB", "RWHR"]);

/// <summary>The cluster's own messages, to a bounded depth.</summary>
internal sealed class ClusterSerializer(ExtendedActorSystem system)
    : GuardedManifestSerializer(system, 5, "Akka.Cluster.Serialization.ClusterMessageSerializer, Akka.Cluster");

/// <summary>Where shards are, to a bounded depth.</summary>
internal sealed class ShardingSerializer(ExtendedActorSystem system) : GuardedManifestSerializer(
    system, 13, "Akka.Cluster.Sharding.Serialization.ClusterShardingMessageSerializer, Akka.Cluster.Sharding");

/// <summary>Replicated registers on their way, to a bounded depth.</summary>
internal sealed class ReplicatorSerializer(ExtendedActorSystem system) : GuardedManifestSerializer(
    system, 12, "Akka.DistributedData.Serialization.ReplicatorMessageSerializer, Akka.DistributedData");

/// <summary>Replicated registers themselves, to a bounded depth.</summary>
internal sealed class RegisterSerializer(ExtendedActorSystem system) : GuardedManifestSerializer(
    system, 11, "Akka.DistributedData.Serialization.ReplicatedDataSerializer, Akka.DistributedData");

/// <summary>Messages to selections of actors, to a bounded depth.</summary>
internal sealed class SelectionSerializer(ExtendedActorSystem system) : Serializer(system)
{
    private readonly MessageContainerSerializer _inner = new(system);

    public override int Identifier => _inner.Identifier;

    public override bool IncludeManifest => false;

    public override byte[] ToBinary(object obj) => _inner.ToBinary(obj);

    public override object FromBinary(byte[] bytes, Type type) => Nesting.Read(() => _inner.FromBinary(bytes, type));
}

/// <summary>
/// Akka's system messages that watching takes. The others create, stop or supervise actors that one process deployed on
/// another, which nobody does here, and carry exceptions, whose type the bytes name.
/// </summary>
internal sealed class SystemMessagesSerializer(ExtendedActorSystem system) : Serializer(system)
{
    private readonly SystemMessageSerializer _inner = new(system);

    public override int Identifier => _inner.Identifier;

    public override bool IncludeManifest => true;

    public override byte[] ToBinary(object obj)
    {
        Require(obj.GetType());
        return _inner.ToBinary(obj);
    }

    public override object FromBinary(byte[] bytes, Type type)
    {
        Require(type);
        return Nesting.Read(() => _inner.FromBinary(bytes, type));
    }

    private static void Require(Type? type)
    {
        if (type == typeof(Watch) || type == typeof(Unwatch) || type == typeof(DeathWatchNotification)) return;
        throw new UnknownMessageTypeException(
            type?.FullName ?? "(unnamed)", "of Akka's system messages only those of watching cross nodes.");
    }
}
