using System.Buffers.Binary;
using System.Reflection;
using Akka.Actor;
using Hyperion;
using HyperionSerializer = Hyperion.Serializer;

namespace SpotServe.Actors.Serialization;

/// <summary>
/// Control messages by Hyperion, with a closed list of types: nothing else is written, and bytes that name or number
/// another type are refused. A message is the list's fingerprint (4 bytes) and then Hyperion's own form, which
/// <see cref="MessageWalk"/> checks before Hyperion sees it.
/// </summary>
internal sealed class HyperionMessageSerializer : Akka.Serialization.Serializer
{
    /// <summary>
    /// Longest message, in bytes. Akka's frame has 128,000; the rest is for envelopes and actor paths.
    /// </summary>
    public const int MessageBytesMax = 120_000;

    private const int FingerprintBytes = sizeof(uint);

    private readonly MessageTypes _types;
    private readonly HyperionSerializer _hyperion;
    private readonly MessageWalk _walk;

    public HyperionMessageSerializer(ExtendedActorSystem system)
        : this(system, MessageTypes.OfSpotServe)
    {
    }

    public HyperionMessageSerializer(ExtendedActorSystem system, MessageTypes types)
        : base(system)
    {
        _types = types;
        _hyperion = new HyperionSerializer(new SerializerOptions(
            versionTolerance: false,
            preserveObjectReferences: false,
            surrogates: [],
            serializerFactories: [new KnownTypesFactory(types, system)],
            knownTypes: types.All,
            ignoreISerializable: true,
            packageNameOverrides: [],
            disallowUnsafeTypes: true,
            typeFilter: new KnownTypeNames(types)));
        _walk = new MessageWalk(types, ManifestOf);
    }

    /// <summary>Fixed: it is part of the wire format.</summary>
    public override int Identifier => 5107;

    public override bool IncludeManifest => false;

    /// <exception cref="UnknownMessageTypeException">The message or something in it is not on the list.</exception>
    /// <exception cref="MessageTooLongException">It has more than <see cref="MessageBytesMax"/> bytes.</exception>
    public override byte[] ToBinary(object obj) => Write(obj, MessageBytesMax);

    /// <exception cref="UnknownMessageTypeException">The bytes name a type.</exception>
    /// <exception cref="MessageFormatException">The bytes are damaged or of another build.</exception>
    public override object FromBinary(byte[] bytes, Type type) => Read(bytes, MessageBytesMax);

    /// <summary>As <see cref="ToBinary"/>, for messages that do not travel in one frame.</summary>
    internal byte[] Write(object obj, int bytesMax)
    {
        var type = obj.GetType();
        if (!_types.IsMessage(type))
        {
            throw new UnknownMessageTypeException(
                type.FullName ?? type.Name, "it is no record of a protocol, so it is not sent to another node.");
        }

        var stream = new MemoryStream(256);
        Span<byte> fingerprint = stackalloc byte[FingerprintBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(fingerprint, _types.Fingerprint);
        stream.Write(fingerprint);
        _hyperion.Serialize(obj, stream);
        return stream.Length <= bytesMax
            ? stream.ToArray()
            : throw new MessageTooLongException(type, stream.Length, bytesMax);
    }

    /// <summary>As <see cref="FromBinary"/>, for messages that did not come in one frame.</summary>
    internal object Read(byte[] bytes, int bytesMax)
    {
        if (bytes.Length > bytesMax)
        {
            throw new MessageFormatException(
                $"A message of {bytes.Length:N0} bytes; at most {bytesMax:N0} are sent.");
        }

        if (bytes.Length <= FingerprintBytes)
            throw new MessageFormatException($"A message of {bytes.Length} bytes has no content.");
        var fingerprint = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (fingerprint != _types.Fingerprint)
        {
            throw new MessageFormatException(
                $"The sender's message types ({fingerprint:x8}) are not this node's ({_types.Fingerprint:x8}): it " +
                "runs another build. Run the same version of SpotServe on all nodes.");
        }

        return Decode(bytes);
    }

    private object Decode(byte[] bytes)
    {
        _walk.Check(bytes.AsSpan(FingerprintBytes));
        try
        {
            return _hyperion.Deserialize(
                new MemoryStream(bytes, FingerprintBytes, bytes.Length - FingerprintBytes, writable: false));
        }
        catch (Exception error)
        {
            // This is the edge to bytes from outside: whatever Hyperion trips over, the sender's bytes are at fault.
            // Its stack says nothing of them, and would be written to the log at the sender's will.
            var cause = error is TargetInvocationException { InnerException: { } inner } ? inner : error;
            throw new MessageFormatException($"Damaged message of {bytes.Length} bytes: {cause.Message}");
        }
    }

    private byte ManifestOf(Type primitive)
    {
        var stream = new MemoryStream();
        _hyperion.GetSerializerByType(primitive).WriteManifest(stream, new SerializerSession(_hyperion));
        Invariant.Holds(stream.Length == 1);
        return (byte)stream.GetBuffer()[0];
    }
}
