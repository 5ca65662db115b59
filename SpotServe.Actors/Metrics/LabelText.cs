using System.Globalization;
using System.Text;

namespace SpotServe.Actors.Metrics;

/// <summary>Labels as one text, as Prometheus writes them between braces. Equal labels give equal texts.</summary>
internal static class LabelText
{
    /// <summary>Longest text of one series' labels.</summary>
    public const int CharsMax = 256;

    /// <summary>Of what a metric has more sets of labels than are kept apart.</summary>
    public const string Overflow = "overflow=\"true\"";

    public static string Of(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.IsEmpty) return "";
        var sorted = tags.ToArray();
        Array.Sort(sorted, (one, other) => string.CompareOrdinal(one.Key, other.Key));
        var text = new StringBuilder();
        foreach (var (name, value) in sorted)
        {
            if (text.Length > 0) text.Append(',');
            text.Append(name).Append("=\"");
            AppendValue(text, Convert.ToString(value, CultureInfo.InvariantCulture) ?? "");
            text.Append('"');
        }

        return text.Length <= CharsMax ? text.ToString() : Overflow;
    }

    public static string Of(string name, string value) => Of([new(name, value)]);

    /// <summary>Both, in the order of their names.</summary>
    public static string Join(string one, string other) =>
        one.Length == 0 ? other
        : other.Length == 0 ? one
        : string.CompareOrdinal(one, other) < 0 ? $"{one},{other}" : $"{other},{one}";

    /// <summary>Whether a text from another process can be written as it is.</summary>
    public static bool IsValid(string text)
    {
        if (text.Length == 0) return true;
        if (text.Length > CharsMax) return false;
        var at = 0;
        while (true)
        {
            var start = at;
            while (at < text.Length && (char.IsAsciiLetterLower(text[at]) || text[at] == '_')) at++;
            if (at == start || at + 1 >= text.Length || text[at] != '=' || text[at + 1] != '"') return false;
            at += 2;
            while (at < text.Length && IsPlain(text[at])) at++;
            if (at >= text.Length || text[at] != '"') return false;
            if (++at == text.Length) return true;
            if (text[at++] != ',') return false;
        }
    }

    /// <summary>What would need an escape is no part of any label that we have.</summary>
    private static void AppendValue(StringBuilder text, string value)
    {
        foreach (var c in value) text.Append(IsPlain(c) ? c : '_');
    }

    private static bool IsPlain(char c) => c is not ('"' or '\\') && !char.IsControl(c) && !char.IsSurrogate(c);
}
