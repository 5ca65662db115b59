using System.Diagnostics.CodeAnalysis;

namespace SpotServe.Seed.Templating;

/// <summary>Python's equality and order of values: true equals 1, 1 equals 1.0, lists compare item by item.</summary>
internal static class ValueComparison
{
    public static IEqualityComparer<Value> Equality { get; } = new Comparer();

    public static bool AreEqual(Value left, Value right)
    {
        if (Number(left) is { } a && Number(right) is { } b)
        {
            return left is FloatValue || right is FloatValue ? a == b : Whole(left) == Whole(right);
        }

        return (left, right) switch
        {
            (NoneValue, NoneValue) => true,
            (UndefinedValue, UndefinedValue) => true,
            (TextValue l, TextValue r) => l.Value == r.Value,
            (ListValue l, ListValue r) => l.IsTuple == r.IsTuple && l.Items.SequenceEqual(r.Items, Equality),
            (MapValue l, MapValue r) => l.Members.Count == r.Members.Count && l.Members.All(
                member => r.Members.TryGetValue(member.Key, out var other) && AreEqual(member.Value, other)),
            _ => ReferenceEquals(left, right),
        };
    }

    /// <summary>Negative, zero or positive; null where the two have no order.</summary>
    public static int? Compare(Value left, Value right)
    {
        if (Number(left) is { } a && Number(right) is { } b)
        {
            return left is FloatValue || right is FloatValue ? a.CompareTo(b) : Whole(left).CompareTo(Whole(right));
        }

        if (left is TextValue l && right is TextValue r) return string.CompareOrdinal(l.Value, r.Value);
        if (left is not ListValue x || right is not ListValue y) return null;
        for (var index = 0; index < Math.Min(x.Items.Count, y.Items.Count); index++)
        {
            if (AreEqual(x.Items[index], y.Items[index])) continue;
            return Compare(x.Items[index], y.Items[index]);
        }

        return x.Items.Count.CompareTo(y.Items.Count);
    }

    /// <summary>The value of a number or boolean; null for anything else.</summary>
    public static double? Number(Value value) => value switch
    {
        IntegerValue integer => integer.Value,
        FloatValue real => real.Value,
        BooleanValue boolean => boolean.Value ? 1 : 0,
        _ => null,
    };

    private static long Whole(Value value) => value switch
    {
        IntegerValue integer => integer.Value,
        BooleanValue { Value: true } => 1,
        _ => 0,
    };

    private sealed class Comparer : IEqualityComparer<Value>
    {
        public bool Equals(Value? x, Value? y) => x is not null && y is not null && AreEqual(x, y);

        public int GetHashCode([DisallowNull] Value obj) => obj switch
        {
            TextValue text => text.Value.GetHashCode(StringComparison.Ordinal),
            _ => Number(obj)?.GetHashCode() ?? 0,
        };
    }
}
