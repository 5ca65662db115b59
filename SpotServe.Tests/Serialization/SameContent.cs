using System.Collections;
using Akka.Actor;
using SpotServe.Actors.Serialization;
using Xunit;

namespace SpotServe.Tests.Serialization;

/// <summary>Equality by content: immutable collections inside records compare by reference otherwise.</summary>
internal static class SameContent
{
    public static void Holds(object? expected, object? actual, string path)
    {
        if (expected is null || actual is null)
        {
            Assert.True(
                expected is null && actual is null, $"{path}: expected {expected ?? "null"}, got {actual ?? "null"}");
            return;
        }

        Assert.Equal(expected.GetType(), actual.GetType());
        var type = expected.GetType();
        if (MessageTypes.IsCollection(type) && type.GetGenericArguments().Length == 2)
        {
            var (left, right) = ((IDictionary)expected, (IDictionary)actual);
            Assert.Equal(left.Count, right.Count);
            foreach (var key in left.Keys) Holds(left[key], right[key], $"{path}[{key}]");
        }
        else if (MessageTypes.IsCollection(type))
        {
            var left = ((IEnumerable)expected).Cast<object?>().ToArray();
            var right = ((IEnumerable)actual).Cast<object?>().ToArray();
            Assert.Equal(left.Length, right.Length);
            for (var i = 0; i < left.Length; i++) Holds(left[i], right[i], $"{path}[{i}]");
        }
        else if (expected is DateTimeOffset instant)
        {
            Assert.True(instant.EqualsExact((DateTimeOffset)actual), $"{path}: expected {expected:o}, got {actual:o}");
        }
        else if (MessageTypes.IsPrimitive(type) || type.IsEnum || type == typeof(TimeSpan) || expected is IActorRef)
        {
            Assert.True(expected.Equals(actual), $"{path}: expected {expected}, got {actual}");
        }
        else
        {
            foreach (var field in MessageTypes.FieldsOf(type))
                Holds(field.GetValue(expected), field.GetValue(actual), $"{path}.{field.Name}");
        }
    }
}
