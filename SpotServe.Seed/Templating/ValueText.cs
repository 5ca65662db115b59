using System.Globalization;
using System.Text;

namespace SpotServe.Seed.Templating;

/// <summary>Values as Python prints them: str() for output, repr() inside of lists and mappings.</summary>
internal static class ValueText
{
    /// <summary>What {{ value }} writes.</summary>
    public static string Print(Value value)
    {
        if (value is TextValue text) return text.Value;
        if (value is UndefinedValue) return "";
        var output = new StringBuilder();
        Represent(value, output);
        return output.ToString();
    }

    public static string OfFloat(double value)
    {
        if (double.IsNaN(value)) return "nan";
        if (double.IsInfinity(value)) return value > 0 ? "inf" : "-inf";
        var magnitude = Math.Abs(value);
        if (magnitude != 0 && magnitude is < 1e-4 or >= 1e16)
        {
            var shortest = value.ToString("E16", CultureInfo.InvariantCulture);
            for (var digits = 0; digits < 16; digits++)
            {
                var shorter = value.ToString($"E{digits}", CultureInfo.InvariantCulture);
                if (double.Parse(shorter, CultureInfo.InvariantCulture) != value) continue;
                shortest = shorter;
                break;
            }

            var at = shortest.IndexOf('E', StringComparison.Ordinal);
            var exponent = int.Parse(shortest[(at + 1)..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
            var sign = exponent < 0 ? '-' : '+';
            return string.Create(CultureInfo.InvariantCulture, $"{shortest[..at]}e{sign}{Math.Abs(exponent):00}");
        }

        return (decimal)value == Math.Truncate((decimal)value)
            ? value.ToString("F1", CultureInfo.InvariantCulture)
            : value.ToString("R", CultureInfo.InvariantCulture);
    }

    private static void Represent(Value value, StringBuilder output)
    {
        switch (value)
        {
            case NoneValue:
                output.Append("None");
                break;
            case UndefinedValue:
                output.Append("Undefined");
                break;
            case BooleanValue boolean:
                output.Append(boolean.Value ? "True" : "False");
                break;
            case IntegerValue integer:
                output.Append(integer.Value);
                break;
            case FloatValue real:
                output.Append(OfFloat(real.Value));
                break;
            case TextValue text:
                Quote(text.Value, output);
                break;
            case ListValue list:
                Represent(list, output);
                break;
            case MapValue map:
                Represent(map, output);
                break;
            default:
                output.Append('<').Append(value.TypeName).Append('>');
                break;
        }
    }

    private static void Represent(ListValue list, StringBuilder output)
    {
        output.Append(list.IsTuple ? '(' : '[');
        for (var index = 0; index < list.Items.Count; index++)
        {
            if (index > 0) output.Append(", ");
            Represent(list.Items[index], output);
        }

        if (list is { IsTuple: true, Items.Count: 1 }) output.Append(',');
        output.Append(list.IsTuple ? ')' : ']');
    }

    private static void Represent(MapValue map, StringBuilder output)
    {
        output.Append('{');
        var isFirst = true;
        foreach (var (key, member) in map.Members)
        {
            if (!isFirst) output.Append(", ");
            isFirst = false;
            Represent(key, output);
            output.Append(": ");
            Represent(member, output);
        }

        output.Append('}');
    }

    /// <summary>Python quotes with ' unless the text holds ' and no ".</summary>
    private static void Quote(string text, StringBuilder output)
    {
        var quote = text.Contains('\'', StringComparison.Ordinal) && !text.Contains('"', StringComparison.Ordinal)
            ? '"'
            : '\'';
        output.Append(quote);
        foreach (var character in text)
        {
            _ = character switch
            {
                '\\' => output.Append(@"\\"),
                '\n' => output.Append(@"\n"),
                '\r' => output.Append(@"\r"),
                '\t' => output.Append(@"\t"),
                _ when character == quote => output.Append('\\').Append(character),
                < ' ' or '\x7f' => output.Append(CultureInfo.InvariantCulture, $"\\x{(int)character:x2}"),
                _ => output.Append(character),
            };
        }

        output.Append(quote);
    }
}
