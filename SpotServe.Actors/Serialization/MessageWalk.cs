using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Reflection;
using System.Text;
using Akka.Actor;

namespace SpotServe.Actors.Serialization;

/// <summary>
/// Walks through a message's bytes before Hyperion reads them, and refuses what Hyperion would do without asking: nest
/// without end, allocate what a length says, read any known type in any place. What passes has a message in front, in
/// every field what its type can hold, and no length beyond the bytes that are left. Makes nothing; thread-safe.
/// </summary>
internal sealed class MessageWalk
{
    /// <summary>Real messages nest to about ten.</summary>
    public const int DepthMax = 32;

    private const byte NullManifest = 0;
    private const byte NamedManifest = 255;
    private const byte VersionedManifest = 251;
    private const byte IndexedManifest = 254;
    private const int NameBytesMax = 200;

    /// <summary>An actor's path with its address.</summary>
    private const int PathBytesMax = 4_096;

    private static readonly ImmutableDictionary<Type, int> FixedBytes = new Dictionary<Type, int>
    {
        [typeof(bool)] = 1,
        [typeof(byte)] = 1,
        [typeof(sbyte)] = 1,
        [typeof(short)] = 2,
        [typeof(ushort)] = 2,
        [typeof(char)] = 2,
        [typeof(int)] = 4,
        [typeof(uint)] = 4,
        [typeof(float)] = 4,
        [typeof(long)] = 8,
        [typeof(ulong)] = 8,
        [typeof(double)] = 8,
        [typeof(decimal)] = 16,
        [typeof(Guid)] = 16,
        [typeof(DateTime)] = 9,
        [typeof(DateTimeOffset)] = 16,
    }.ToImmutableDictionary();

    private readonly MessageTypes _types;
    private readonly Func<Type, byte> _manifestOf;
    private readonly ImmutableArray<Body> _bodies;
    private readonly Slot _top;

    /// <param name="manifestOf">Hyperion's one-byte mark of a primitive.</param>
    public MessageWalk(MessageTypes types, Func<Type, byte> manifestOf)
    {
        _types = types;
        _manifestOf = manifestOf;
        _bodies = [.. types.All.Select(BodyOf)];
        _top = new Slot("a message", MayBeNull: false, IndicesOf(types.Messages), null, null);
    }

    private delegate void Body(ref Cursor bytes, int depth);

    /// <exception cref="UnknownMessageTypeException">A type is named, or one stands in front that is no
    /// message.</exception>
    /// <exception cref="MessageFormatException">The bytes are no message for another reason.</exception>
    public void Check(ReadOnlySpan<byte> bytes)
    {
        var cursor = new Cursor(bytes);
        ReadObject(_top, ref cursor, 0);
        if (cursor.Left > 0) throw new MessageFormatException($"{cursor.Left} bytes follow the message.");
    }

    private void ReadObject(Slot slot, ref Cursor bytes, int depth)
    {
        var manifest = bytes.Byte();
        switch (manifest)
        {
            case NullManifest when slot.MayBeNull:
                return;
            case NullManifest:
                throw new MessageFormatException($"Nothing stands where {slot.Name} belongs.");
            case IndexedManifest:
                var index = bytes.UInt16();
                if (!slot.Indices.Contains(index)) throw Misplaced(index, slot);
                if (depth >= DepthMax) throw new MessageFormatException($"More than {DepthMax} levels are nested.");
                _bodies[index](ref bytes, depth + 1);
                return;
            case NamedManifest or VersionedManifest:
                var name = bytes.Take(Math.Min(bytes.Count(1), NameBytesMax));
                throw Unknown(Encoding.UTF8.GetString(name));
            default:
                if (slot.Primitive is null || manifest != slot.PrimitiveManifest)
                    throw Unknown($"of Hyperion's number {manifest}");
                slot.Primitive(ref bytes, depth);
                return;
        }
    }

    private static UnknownMessageTypeException Unknown(string type) => new(
        type, "only records of the protocols, and what their fields hold, cross nodes.");

    private MessageFormatException Misplaced(ushort index, Slot slot) => new(
        index < _types.All.Length
            ? $"{_types.All[index].Name} stands where {slot.Name} belongs."
            : $"Type {index} of {_types.All.Length} stands where {slot.Name} belongs.");

    private Body BodyOf(Type type)
    {
        if (type == typeof(IActorRef)) return static (ref Cursor bytes, int _) => ReadPath(ref bytes);
        if (type == typeof(ImmutableArray<int>)) return static (ref Cursor bytes, int _) => ReadNumbers(ref bytes);
        if (type == typeof(ImmutableArray<byte>)) return static (ref Cursor bytes, int _) => ReadBytes(ref bytes);
        if (MessageTypes.IsCollection(type)) return CollectionOf(type);
        if (type.IsEnum) return EnumOf(type);
        // Slots of recursive types would be made without end: each is made when it is first met.
        var fields = new Lazy<Body[]>(() => [.. HyperionFieldsOf(type).Select(FieldOf)]);
        return (ref Cursor bytes, int depth) =>
        {
            foreach (var field in fields.Value) field(ref bytes, depth);
        };
    }

    private Body FieldOf(FieldInfo field)
    {
        if (MessageTypes.IsPrimitive(field.FieldType)) return PrimitiveOf(field.FieldType);
        var slot = SlotOf(field.FieldType, $"{field.DeclaringType?.Name}.{field.Name}");
        return (ref Cursor bytes, int depth) => ReadObject(slot, ref bytes, depth);
    }

    private Body CollectionOf(Type type)
    {
        var slots = new Lazy<Slot[]>(
            () => [.. type.GetGenericArguments().Select(argument => SlotOf(argument, $"{argument.Name} in a list"))]);
        var least = type.GetGenericTypeDefinition() == typeof(ImmutableArray<>) ? -1 : 0;
        return (ref Cursor bytes, int depth) =>
        {
            var count = bytes.Count(least);
            for (var i = 0; i < count; i++)
                foreach (var slot in slots.Value) ReadObject(slot, ref bytes, depth);
        };
    }

    private static Body EnumOf(Type type)
    {
        var width = FixedBytes[type.GetEnumUnderlyingType()];
        var values = Enum.GetValuesAsUnderlyingType(type).Cast<object>()
            .Select(value => Convert.ToInt64(value, System.Globalization.CultureInfo.InvariantCulture)).ToHashSet();
        return (ref Cursor bytes, int _) =>
        {
            var value = bytes.Integer(width);
            if (!values.Contains(value)) throw new MessageFormatException($"{type.Name} has no value {value}.");
        };
    }

    private static Body PrimitiveOf(Type type)
    {
        if (type == typeof(string)) return static (ref Cursor bytes, int _) => bytes.Text();
        var width = FixedBytes[type];
        return (ref Cursor bytes, int _) => bytes.Take(width);
    }

    private Slot SlotOf(Type type, string name)
    {
        var plain = Nullable.GetUnderlyingType(type) ?? type;
        var mayBeNull = !type.IsValueType || plain != type;
        if (MessageTypes.IsPrimitive(plain))
            return new Slot(name, mayBeNull, [], PrimitiveOf(plain), _manifestOf(plain));
        var holds = typeof(IActorRef).IsAssignableFrom(plain) || !(plain.IsInterface || plain.IsAbstract)
            ? [plain]
            : _types.ImplementorsOf(plain);
        return new Slot(name, mayBeNull, IndicesOf(holds), null, null);
    }

    private ImmutableHashSet<ushort> IndicesOf(IEnumerable<Type> types) =>
        [.. types.Where(_types.IsKnown).Select(type => _types.TryGetIndex(type, out var index) ? index : default)];

    private static void ReadPath(ref Cursor bytes)
    {
        var length = bytes.Text();
        if (length is null or > PathBytesMax) throw new MessageFormatException("A reference to an actor has no path.");
    }

    private static void ReadBytes(ref Cursor bytes)
    {
        var count = bytes.Count(-1);
        if (count > 0) bytes.Take(count);
    }

    private static void ReadNumbers(ref Cursor bytes)
    {
        var count = bytes.Count(-1);
        for (var i = 0; i < count; i++) bytes.Varint();
    }

    /// <summary>Hyperion's own order of fields, with the base classes' visible ones twice as it has them.</summary>
    private static IEnumerable<FieldInfo> HyperionFieldsOf(Type type)
    {
        const BindingFlags All = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;
        var fields = new List<FieldInfo>();
        for (var level = type; level is not null; level = level.BaseType) fields.AddRange(level.GetFields(All));
        return fields.OrderBy(field => field.Name, StringComparer.Ordinal);
    }

    /// <param name="Indices">Known types that may stand here.</param>
    /// <param name="Primitive">Reads the primitive that may stand here, behind <paramref
    /// name="PrimitiveManifest"/>.</param>
    private sealed record Slot(
        string Name, bool MayBeNull, ImmutableHashSet<ushort> Indices, Body? Primitive, byte? PrimitiveManifest);

    /// <summary>Bytes with a place in them; whatever is asked beyond their end is refused.</summary>
    private ref struct Cursor(ReadOnlySpan<byte> bytes)
    {
        private ReadOnlySpan<byte> _rest = bytes;

        public readonly int Left => _rest.Length;

        public ReadOnlySpan<byte> Take(int count)
        {
            if (count < 0 || count > _rest.Length)
                throw new MessageFormatException($"{count} bytes are announced and {_rest.Length} are left.");
            var taken = _rest[..count];
            _rest = _rest[count..];
            return taken;
        }

        public byte Byte() => Take(1)[0];

        public ushort UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(sizeof(ushort)));

        public long Integer(int width)
        {
            var taken = Take(width);
            return width switch
            {
                1 => taken[0],
                2 => BinaryPrimitives.ReadInt16LittleEndian(taken),
                4 => BinaryPrimitives.ReadInt32LittleEndian(taken),
                _ => BinaryPrimitives.ReadInt64LittleEndian(taken),
            };
        }

        /// <summary>A count of things of at least a byte each.</summary>
        public int Count(int least)
        {
            var count = BinaryPrimitives.ReadInt32LittleEndian(Take(sizeof(int)));
            return count >= least && count <= _rest.Length
                ? count
                : throw new MessageFormatException($"{count} items are announced and {_rest.Length} bytes are left.");
        }

        /// <summary>Passes over a text; its length in bytes, null for none.</summary>
        public int? Text()
        {
            int first = Byte();
            if (first == 0) return null;
            return Take(first == byte.MaxValue ? Count(0) : first - 1).Length;
        }

        public void Varint()
        {
            for (var i = 0; i < Serialization.Varint.BytesMax; i++)
                if (Byte() < 0x80) return;
            throw new MessageFormatException("A number has more than 32 bits.");
        }
    }
}
