using System.Collections.Immutable;
using System.Reflection;
using Akka.Actor;
using SpotServe.Actors.Serialization;

namespace SpotServe.Tests.Serialization;

/// <summary>
/// Makes random values of any type that may be sent, so that a new protocol record is tested without a line of test.
/// </summary>
internal sealed class MessageGenerator(MessageTypes types, Random random, IActorRef actor)
{
    private const int DepthMax = 6;

    public object Make(Type type) => Value(type, 0)!;

    private object? Value(Type type, int depth)
    {
        if (Nullable.GetUnderlyingType(type) is { } underlying)
            return random.Next(2) == 0 ? null : Value(underlying, depth);
        if (MessageTypes.IsPrimitive(type) || type.IsEnum || type == typeof(TimeSpan)) return Leaf(type);
        if (typeof(IActorRef).IsAssignableFrom(type)) return actor;
        if (MessageTypes.IsCollection(type)) return Collection(type, depth);
        if (type.IsInterface || type.IsAbstract)
        {
            var choices = types.ImplementorsOf(type).ToArray();
            return Value(choices[random.Next(choices.Length)], depth + 1);
        }

        return Record(type, depth);
    }

    // Through the constructor that takes most: the record's own. It must not refuse values of the right type.
    private object Record(Type type, int depth)
    {
        if (depth > DepthMax) throw new InvalidOperationException($"{type} is nested too deep to be a message.");
        var constructor = type.GetConstructors(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .Where(c => c.GetParameters() is not [var only] || only.ParameterType != type)
            .MaxBy(c => c.GetParameters().Length);
        if (constructor is null) return Activator.CreateInstance(type)!;
        var nullability = new NullabilityInfoContext();
        return constructor.Invoke([.. constructor.GetParameters().Select(p =>
            nullability.Create(p).WriteState == NullabilityState.Nullable && (depth == DepthMax || random.Next(2) == 0)
                ? null
                : Value(p.ParameterType, depth + 1))]);
    }

    private object Collection(Type type, int depth)
    {
        var arguments = type.GetGenericArguments();
        var count = random.Next(4);
        var maker = typeof(MessageGenerator).GetMethod(
            arguments.Length == 1 ? nameof(MakeArray) : nameof(MakeDictionary),
            BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(arguments);
        var items = arguments
            .Select(a => Enumerable.Range(0, count).Select(_ => Value(a, depth + 1)).ToArray())
            .ToArray<object>();
        return maker.Invoke(null, items)!;
    }

    private static ImmutableArray<T> MakeArray<T>(object?[] items) => [.. items.Cast<T>()];

    private static ImmutableDictionary<TKey, TValue> MakeDictionary<TKey, TValue>(object?[] keys, object?[] values)
        where TKey : notnull =>
        keys.Cast<TKey>().Zip(values.Cast<TValue>()).DistinctBy(p => p.Item1)
            .ToImmutableDictionary(p => p.Item1, p => p.Item2);

    private object Leaf(Type type)
    {
        if (type.IsEnum)
        {
            var values = Enum.GetValues(type);
            return values.GetValue(random.Next(values.Length))!;
        }

        if (type == typeof(string)) return random.Next(3) == 0 ? "" : $"text {random.Next()} äß€😀";
        if (type == typeof(bool)) return random.Next(2) == 0;
        if (type == typeof(Guid)) return new Guid(RandomBytes(16));
        if (type == typeof(TimeSpan)) return TimeSpan.FromTicks(random.NextInt64());
        if (type == typeof(DateTime)) return new DateTime(random.NextInt64(DateTime.MaxValue.Ticks), DateTimeKind.Utc);
        if (type == typeof(DateTimeOffset))
        {
            return new DateTimeOffset(
                random.NextInt64(TimeSpan.TicksPerDay, DateTime.MaxValue.Ticks / 2),
                TimeSpan.FromMinutes(random.Next(-600, 600)));
        }

        if (type == typeof(float)) return random.NextSingle();
        if (type == typeof(double)) return random.NextDouble();
        if (type == typeof(decimal)) return (decimal)random.NextDouble();
        if (type == typeof(char)) return (char)random.Next('a', 'z');
        return typeof(MessageGenerator).GetMethod(nameof(Integer), BindingFlags.Static | BindingFlags.NonPublic)!
            .MakeGenericMethod(type).Invoke(null, [random.NextInt64(long.MinValue, long.MaxValue)])!;
    }

    private static T Integer<T>(long value)
        where T : System.Numerics.INumber<T> => T.CreateTruncating(value);

    private byte[] RandomBytes(int count)
    {
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }
}
