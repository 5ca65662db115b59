using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Akka.Actor;
using Hyperion;
using Hyperion.ValueSerializers;

namespace SpotServe.Actors.Serialization;

/// <summary>
/// Writes a value's type as its index in <see cref="MessageTypes.All"/>, as Hyperion does for known types.
/// </summary>
internal abstract class IndexedSerializer<T>(ushort index) : ValueSerializer
{
    private const byte NullManifest = 0;   // Hyperion's mark of null.

    private readonly byte[] _manifest = [ObjectSerializer.ManifestIndex, (byte)index, (byte)(index >> 8)];

    public sealed override void WriteManifest(Stream stream, SerializerSession session) => stream.Write(_manifest);

    public sealed override void WriteValue(Stream stream, object value, SerializerSession session) =>
        Write(stream, (T)value, session);

    public sealed override object ReadValue(Stream stream, DeserializerSession session) => Read(stream, session)!;

    public override Type GetElementType() => typeof(T);

    protected abstract void Write(Stream stream, T value, SerializerSession session);

    protected abstract T Read(Stream stream, DeserializerSession session);

    protected static void WriteItem(Stream stream, object? item, SerializerSession session)
    {
        if (item is null)
        {
            stream.WriteByte(NullManifest);
            return;
        }

        var serializer = session.Serializer.GetSerializerByType(item.GetType());
        serializer.WriteManifest(stream, session);
        serializer.WriteValue(stream, item, session);
    }

    protected static object? ReadItem(Stream stream, DeserializerSession session) =>
        session.Serializer.GetDeserializerByManifest(stream, session).ReadValue(stream, session);

    protected static void WriteCount(Stream stream, int count)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, count);
        stream.Write(bytes);
    }

    /// <summary>Reads a count; every item takes at least a byte, so damaged bytes cannot ask for more memory.</summary>
    protected static int ReadCount(Stream stream)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        stream.ReadExactly(bytes);
        var count = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        if (count < -1 || count > stream.Length - stream.Position)
        {
            throw new MessageFormatException(
                $"{typeof(T).Name} of {count} items in a message of {stream.Length} bytes.");
        }

        return count;
    }
}

/// <summary>Elements one by one; a default array stays a default array.</summary>
internal sealed class ImmutableArraySerializer<T>(ushort index) : IndexedSerializer<ImmutableArray<T>>(index)
{
    protected override void Write(Stream stream, ImmutableArray<T> value, SerializerSession session)
    {
        WriteCount(stream, value.IsDefault ? -1 : value.Length);
        if (value.IsDefault) return;
        foreach (var item in value) WriteItem(stream, item, session);
    }

    protected override ImmutableArray<T> Read(Stream stream, DeserializerSession session)
    {
        var count = ReadCount(stream);
        if (count < 0) return default;
        var items = ImmutableArray.CreateBuilder<T>(count);
        for (var i = 0; i < count; i++) items.Add((T)ReadItem(stream, session)!);
        return items.MoveToImmutable();
    }
}

/// <summary>
/// Tokens, and other small non-negative numbers, as varints: one to three bytes each instead of five.
/// </summary>
internal sealed class TokenArraySerializer(ushort index) : IndexedSerializer<ImmutableArray<int>>(index)
{
    protected override void Write(Stream stream, ImmutableArray<int> value, SerializerSession session)
    {
        WriteCount(stream, value.IsDefault ? -1 : value.Length);
        if (value.IsDefaultOrEmpty) return;
        var bytes = new byte[value.Length * Varint.BytesMax];
        stream.Write(bytes, 0, Varint.Write(value.AsSpan(), bytes));
    }

    protected override ImmutableArray<int> Read(Stream stream, DeserializerSession session)
    {
        var count = ReadCount(stream);
        if (count < 0) return default;
        var items = ImmutableArray.CreateBuilder<int>(count);
        for (var i = 0; i < count; i++) items.Add(Varint.Read(stream));
        return items.MoveToImmutable();
    }
}

/// <summary>Bytes as they are.</summary>
internal sealed class BytesSerializer(ushort index) : IndexedSerializer<ImmutableArray<byte>>(index)
{
    protected override void Write(Stream stream, ImmutableArray<byte> value, SerializerSession session)
    {
        WriteCount(stream, value.IsDefault ? -1 : value.Length);
        if (!value.IsDefault) stream.Write(value.AsSpan());
    }

    protected override ImmutableArray<byte> Read(Stream stream, DeserializerSession session)
    {
        var count = ReadCount(stream);
        if (count < 0) return default;
        var bytes = new byte[count];
        stream.ReadExactly(bytes);
        return ImmutableCollectionsMarshal.AsImmutableArray(bytes);
    }
}

/// <summary>Keys and values in turn. Comparers are not sent: the reader's dictionary has the default ones.</summary>
internal sealed class ImmutableDictionarySerializer<TKey, TValue>(ushort index)
    : IndexedSerializer<ImmutableDictionary<TKey, TValue>>(index)
    where TKey : notnull
{
    protected override void Write(
        Stream stream, ImmutableDictionary<TKey, TValue> value, SerializerSession session)
    {
        WriteCount(stream, value.Count);
        foreach (var (key, item) in value)
        {
            WriteItem(stream, key, session);
            WriteItem(stream, item, session);
        }
    }

    protected override ImmutableDictionary<TKey, TValue> Read(Stream stream, DeserializerSession session)
    {
        var count = ReadCount(stream);
        var items = ImmutableDictionary.CreateBuilder<TKey, TValue>();
        for (var i = 0; i < count; i++)
        {
            var key = (TKey)ReadItem(stream, session)!;
            items.Add(key, (TValue)ReadItem(stream, session)!);
        }

        return items.ToImmutable();
    }
}

/// <summary>An actor as its full path, which the reader's system resolves.</summary>
internal sealed class ActorRefSerializer(ushort index, ExtendedActorSystem system) : IndexedSerializer<IActorRef>(index)
{
    protected override void Write(Stream stream, IActorRef value, SerializerSession session) =>
        session.Serializer.GetSerializerByType(typeof(string))
            .WriteValue(stream, Akka.Serialization.Serialization.SerializedActorPath(value), session);

    protected override IActorRef Read(Stream stream, DeserializerSession session) =>
        system.Provider.ResolveActorRef(
            (string)session.Serializer.GetSerializerByType(typeof(string)).ReadValue(stream, session));
}
