using System.Collections.Immutable;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Akka.Actor;

namespace SpotServe.Actors.Serialization;

/// <summary>
/// The closed list of types that may cross nodes: the records of the protocols and all that their fields can hold. On
/// the wire a type is its index in this list, so the order must be the same in every process: it is the ordinal order
/// of the names, which depends neither on assembly loading nor on reflection's order.
/// </summary>
internal sealed class MessageTypes
{
    private static readonly ImmutableHashSet<Type> Primitives =
    [
        typeof(bool), typeof(byte), typeof(sbyte), typeof(short), typeof(ushort), typeof(int), typeof(uint),
        typeof(long), typeof(ulong), typeof(float), typeof(double), typeof(decimal), typeof(char), typeof(string),
        typeof(Guid), typeof(DateTime), typeof(DateTimeOffset),
    ];

    private readonly Assembly[] _assemblies;
    private readonly HashSet<Type> _known = [];
    private readonly Dictionary<Type, ushort> _indices = [];
    private readonly HashSet<Type> _messages;

    /// <param name="assemblies">Where protocols and the implementors of interfaces and abstract records are
    /// found.</param>
    /// <exception cref="InvalidOperationException">A message has a field that cannot be sent; says which.</exception>
    public MessageTypes(params Assembly[] assemblies)
    {
        _assemblies = assemblies;
        Messages =
        [
            .. assemblies.SelectMany(a => a.GetTypes()).Where(IsProtocolRecord).OrderBy(NameOf, StringComparer.Ordinal),
        ];
        _messages = [.. Messages];
        foreach (var message in Messages) Add(message, message.Name);

        All = [.. _known.OrderBy(NameOf, StringComparer.Ordinal)];
        for (var i = 0; i < All.Length; i++) _indices.Add(All[i], checked((ushort)i));
        Fingerprint = FingerprintOf(All);
    }

    /// <summary>The messages of SpotServe.Actors.</summary>
    public static MessageTypes OfSpotServe { get; } = new(typeof(MessageTypes).Assembly);

    /// <summary>Concrete records of the protocols: what may be sent as a message.</summary>
    public ImmutableArray<Type> Messages { get; }

    /// <summary>Messages and all that they may contain, in wire order.</summary>
    public ImmutableArray<Type> All { get; }

    /// <summary>
    /// Hash of the types and their fields: two builds that differ in it do not understand each other.
    /// </summary>
    public uint Fingerprint { get; }

    public bool IsKnown(Type type) => _indices.ContainsKey(type);

    /// <summary>Whether it is one of our own records, which travel field by field.</summary>
    public bool IsRecord(Type type) =>
        _indices.ContainsKey(type) && !type.IsEnum && _assemblies.Contains(type.Assembly);

    /// <summary>Whether it may be sent by itself, and not only inside of a message.</summary>
    public bool IsMessage(Type type) => _messages.Contains(type);

    /// <summary>Position in <see cref="All"/>. References to actors share one entry, whatever their class.</summary>
    public bool TryGetIndex(Type type, out ushort index) =>
        _indices.TryGetValue(typeof(IActorRef).IsAssignableFrom(type) ? typeof(IActorRef) : type, out index);

    /// <summary>Fields that travel: all instance fields, base classes included.</summary>
    public static IEnumerable<FieldInfo> FieldsOf(Type type)
    {
        const BindingFlags Declared =
            BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        for (var level = type; level is not null && level != typeof(object); level = level.BaseType)
            foreach (var field in level.GetFields(Declared)) yield return field;
    }

    public static bool IsPrimitive(Type type) => Primitives.Contains(type);

    /// <summary>Concrete types of the protocol's assemblies that a field of this type can hold.</summary>
    public IEnumerable<Type> ImplementorsOf(Type type) => _assemblies.SelectMany(a => a.GetTypes())
        .Where(t => !t.IsAbstract && t != type && type.IsAssignableFrom(t))
        .OrderBy(NameOf, StringComparer.Ordinal);

    public static bool IsCollection(Type type) => type.IsGenericType &&
        (type.GetGenericTypeDefinition() == typeof(ImmutableArray<>) ||
         type.GetGenericTypeDefinition() == typeof(ImmutableDictionary<,>));

    private static bool IsProtocolRecord(Type type) =>
        type.DeclaringType is { IsAbstract: true, IsSealed: true } protocol &&
        protocol.Name.EndsWith("Protocol", StringComparison.Ordinal) &&
        type is { IsNestedPublic: true, IsAbstract: false, IsEnum: false } &&
        (type.IsValueType || IsRecordClass(type)) &&
        !typeof(INoSerializationVerificationNeeded).IsAssignableFrom(type);   // Akka's mark of a local message.

    private static bool IsRecordClass(Type type) => type.GetMethod("<Clone>$") is not null;

    private void Add(Type type, string where)
    {
        if (Nullable.GetUnderlyingType(type) is { } underlying)
        {
            Add(underlying, where);
            return;
        }

        if (IsPrimitive(type)) return;
        if (typeof(IActorRef).IsAssignableFrom(type)) _known.Add(typeof(IActorRef));
        else if (type.IsEnum || type == typeof(TimeSpan)) _known.Add(type);
        else if (IsCollection(type)) AddCollection(type, where);
        else if (!_assemblies.Contains(type.Assembly)) throw Unsendable(type, where, "it is not one of our own types");
        else if (type.IsInterface || type.IsAbstract) AddImplementors(type, where);
        else if (type.IsValueType || IsRecordClass(type)) AddRecord(type);
        else throw Unsendable(type, where, "it is no record");
    }

    private void AddCollection(Type type, string where)
    {
        if (!_known.Add(type)) return;
        foreach (var argument in type.GetGenericArguments()) Add(argument, where);
    }

    private void AddImplementors(Type type, string where)
    {
        var implementors = ImplementorsOf(type).ToArray();
        if (implementors.Length == 0) throw Unsendable(type, where, "nothing implements it");
        foreach (var implementor in implementors) Add(implementor, where);
    }

    private void AddRecord(Type type)
    {
        if (!_known.Add(type)) return;
        foreach (var field in FieldsOf(type)) Add(field.FieldType, $"{type.Name}.{field.Name}");
    }

    private static InvalidOperationException Unsendable(Type type, string where, string reason) => new(
        $"{where} has type '{NameOf(type)}', which cannot be sent to another node: {reason}. Use primitives, " +
        "strings, enums, DateTimeOffset, TimeSpan, IActorRef, ImmutableArray, ImmutableDictionary, or records of " +
        "these; mark a message that stays on its node with INoSerializationVerificationNeeded.");

    // Without assembly versions, so that the runtime's version does not matter.
    private static string NameOf(Type type) => type.ToString();

    private static uint FingerprintOf(ImmutableArray<Type> types)
    {
        var text = new StringBuilder();
        foreach (var type in types)
        {
            text.Append(NameOf(type)).Append('{');
            if (type.IsEnum) text.AppendJoin(',', Enum.GetNames(type));
            else if (type.Assembly != typeof(object).Assembly && !IsCollection(type) && !type.IsInterface)
                text.AppendJoin(',', FieldsOf(type).Select(f => $"{NameOf(f.FieldType)} {f.Name}"));
            text.Append('}');
        }

        return BitConverter.ToUInt32(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }
}
