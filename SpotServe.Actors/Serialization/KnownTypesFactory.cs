using System.Collections.Concurrent;
using System.Collections.Immutable;
using Akka.Actor;
using Hyperion;
using Hyperion.SerializerFactories;
using Hyperion.ValueSerializers;

namespace SpotServe.Actors.Serialization;

/// <summary>
/// Asked by Hyperion before its own factories for each type that it meets. Refuses every type that is not on the list,
/// and serves those whose built-in handling would write type names or is slow, now or at the start.
/// </summary>
internal sealed class KnownTypesFactory(MessageTypes types, ExtendedActorSystem system) : ValueSerializerFactory
{
    public override bool CanSerialize(Serializer serializer, Type type)
    {
        var plain = Nullable.GetUnderlyingType(type) ?? type;
        if (!types.TryGetIndex(plain, out _) && !MessageTypes.IsPrimitive(plain) && !IsOnlyDeclared(type))
        {
            throw new UnknownMessageTypeException(
                type.FullName ?? type.Name, "only records of the protocols, and what their fields hold, cross nodes.");
        }

        return MessageTypes.IsCollection(type) || typeof(IActorRef).IsAssignableFrom(type) || types.IsRecord(type);
    }

    public override bool CanDeserialize(Serializer serializer, Type type) => CanSerialize(serializer, type);

    public override ValueSerializer BuildSerializer(
        Serializer serializer, Type type, ConcurrentDictionary<Type, ValueSerializer> typeMapping)
    {
        types.TryGetIndex(type, out var index);
        return typeMapping.GetOrAdd(type, Build);

        ValueSerializer Build(Type collection)
        {
            if (types.IsRecord(collection)) return new RecordSerializer(index, collection, serializer);
            if (typeof(IActorRef).IsAssignableFrom(collection)) return new ActorRefSerializer(index, system);
            if (collection == typeof(ImmutableArray<int>)) return new TokenArraySerializer(index);
            if (collection == typeof(ImmutableArray<byte>)) return new BytesSerializer(index);
            var definition = collection.GetGenericTypeDefinition() == typeof(ImmutableArray<>)
                ? typeof(ImmutableArraySerializer<>)
                : typeof(ImmutableDictionarySerializer<,>);
            return (ValueSerializer)Activator.CreateInstance(
                definition.MakeGenericType(collection.GetGenericArguments()), index)!;
        }
    }

    // Fields declared with these never hold an instance of exactly that type, so nothing of it can be written.
    private static bool IsOnlyDeclared(Type type) => type.IsInterface || type.IsAbstract;
}

/// <summary>
/// Hyperion asks it for the type of a message that it writes, and for a type that the bytes name before it loads it.
/// Our own bytes name none, since known types go by index.
/// </summary>
internal sealed class KnownTypeNames(MessageTypes types) : ITypeFilter
{
    private readonly ImmutableHashSet<string> _names = [.. types.All.Select(t => t.AssemblyQualifiedName!)];

    public bool IsAllowed(string typeName) => _names.Contains(typeName) ? true : throw new UnknownMessageTypeException(
        typeName, "only records of the protocols, and what their fields hold, cross nodes.");
}
