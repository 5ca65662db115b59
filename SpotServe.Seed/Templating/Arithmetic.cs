using System.Text;

namespace SpotServe.Seed.Templating;

/// <summary>The operators between two values, as Python has them.</summary>
internal static class Arithmetic
{
    public static Value Apply(string text, Value left, Value right, int line, TemplateBudget budget)
    {
        if (left is UndefinedValue || right is UndefinedValue) throw Mismatch(text, left, right, line);
        return (text, left, right) switch
        {
            ("+", TextValue l, TextValue r) => Text(l.Value, r.Value, line, budget),
            ("+", ListValue l, ListValue r) when l.IsTuple == r.IsTuple => Joined(l, r, line, budget),
            ("*", TextValue l, IntegerValue r) => Repeated(l, r.Value, line, budget),
            ("*", IntegerValue l, TextValue r) => Repeated(r, l.Value, line, budget),
            ("*", ListValue l, IntegerValue r) => Repeated(l, r.Value, line, budget),
            _ => OfNumbers(text, left, right, line),
        };
    }

    public static bool Holds(string text, Value left, Value right, int line) => text switch
    {
        "==" => ValueComparison.AreEqual(left, right),
        "!=" => !ValueComparison.AreEqual(left, right),
        "in" => Contains(right, left, line),
        "not in" => !Contains(right, left, line),
        _ when ValueComparison.Compare(left, right) is { } order => text switch
        {
            "<" => order < 0,
            "<=" => order <= 0,
            ">" => order > 0,
            _ => order >= 0,
        },
        _ => throw Mismatch(text, left, right, line),
    };

    public static Value Negate(string text, Value operand, int line) => (text, operand) switch
    {
        ("not", _) => Value.Of(!operand.IsTrue),
        ("-", FloatValue real) => new FloatValue(-real.Value),
        ("+", FloatValue) => operand,
        ("-", IntegerValue or BooleanValue) => Value.Of(checked(-(long)ValueComparison.Number(operand)!)),
        ("+", IntegerValue or BooleanValue) => Value.Of((long)ValueComparison.Number(operand)!),
        _ => throw new TemplateException(line, $"'{text}' does not go with {Shown(operand)}"),
    };

    private static bool Contains(Value container, Value item, int line) => (container, item) switch
    {
        (TextValue text, TextValue part) => text.Value.Contains(part.Value, StringComparison.Ordinal),
        (ListValue list, _) => list.Items.Contains(item, ValueComparison.Equality),
        (MapValue map, _) => map.Members.ContainsKey(item),
        (UndefinedValue, _) => false,
        _ => throw new TemplateException(line, $"'in' does not go with {Shown(item)} and {Shown(container)}"),
    };

    private static Value OfNumbers(string text, Value left, Value right, int line)
    {
        if (ValueComparison.Number(left) is not { } a || ValueComparison.Number(right) is not { } b)
            throw Mismatch(text, left, right, line);
        if (b == 0 && text is "/" or "//" or "%") throw new TemplateException(line, "division by zero");
        if (text == "/") return new FloatValue(a / b);
        if (left is FloatValue || right is FloatValue || (text == "**" && b < 0))
        {
            return new FloatValue(text switch
            {
                "+" => a + b,
                "-" => a - b,
                "*" => a * b,
                "//" => Math.Floor(a / b),
                "%" => a - (b * Math.Floor(a / b)),
                _ => Math.Pow(a, b),
            });
        }

        try
        {
            return Value.Of(OfIntegers(text, Whole(left), Whole(right)));
        }
        catch (OverflowException)
        {
            throw new TemplateException(line, $"'{text}' makes a number that is too large");
        }
    }

    private static long OfIntegers(string text, long a, long b) => checked(text switch
    {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "//" => (a / b) - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0),
        "%" => ((a % b) + b) % b,
        _ => Power(a, b),
    });

    private static long Power(long value, long exponent)
    {
        if (value is 0 or 1) return exponent == 0 ? 1 : value;
        if (value == -1) return exponent % 2 == 0 ? 1 : -1;
        var result = 1L;
        for (var count = 0L; count < exponent; count++) result = checked(result * value);
        return result;
    }

    private static long Whole(Value value) => value is IntegerValue integer ? integer.Value : value.IsTrue ? 1 : 0;

    private static Value Text(string left, string right, int line, TemplateBudget budget)
    {
        budget.Charge(left.Length + (long)right.Length, line);
        return Value.Of(left + right);
    }

    private static ListValue Joined(ListValue left, ListValue right, int line, TemplateBudget budget)
    {
        budget.Charge(left.Items.Count + (long)right.Items.Count, line);
        return new ListValue([.. left.Items, .. right.Items], left.IsTuple);
    }

    private static Value Repeated(TextValue text, long count, int line, TemplateBudget budget)
    {
        if (count <= 0 || text.Value.Length == 0) return Value.Of("");
        budget.Charge(Charge(text.Value.Length, count), line);
        var length = text.Value.Length * (int)count;
        return Value.Of(new StringBuilder(length).Insert(0, text.Value, (int)count).ToString());
    }

    private static ListValue Repeated(ListValue list, long count, int line, TemplateBudget budget)
    {
        if (count <= 0 || list.Items.Count == 0) return new ListValue([], list.IsTuple);
        budget.Charge(Charge(list.Items.Count, count), line);
        return new ListValue([.. Enumerable.Repeat(list.Items, (int)count).SelectMany(items => items)], list.IsTuple);
    }

    private static long Charge(long length, long count) => count > int.MaxValue ? int.MaxValue : length * count;

    private static TemplateException Mismatch(string text, Value left, Value right, int line) =>
        new(line, $"'{text}' does not go with {Shown(left)} and {Shown(right)}");

    private static string Shown(Value value) =>
        value is UndefinedValue undefined ? $"'{undefined.Name}', which is not defined" : value.TypeName;
}
