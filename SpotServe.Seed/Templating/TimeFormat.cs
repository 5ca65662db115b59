using System.Globalization;
using System.Text;

namespace SpotServe.Seed.Templating;

/// <summary>Python's strftime, in English.</summary>
internal static class TimeFormat
{
    /// <exception cref="TemplateException">A directive is not known.</exception>
    public static string Format(DateTimeOffset time, string format, CallArguments arguments)
    {
        var output = new StringBuilder();
        for (var at = 0; at < format.Length; at++)
        {
            if (format[at] != '%' || at + 1 == format.Length)
            {
                output.Append(format[at]);
                continue;
            }

            // "%-d" is the day without a leading zero.
            var isBare = format[++at] == '-' && at + 1 < format.Length;
            var directive = isBare ? format[++at] : format[at];
            var text = Directive(time, directive) ?? throw arguments.Error($"does not know %{directive}");
            output.Append(isBare && text.Length > 1 ? text.TrimStart('0') is "" ? "0" : text.TrimStart('0') : text);
        }

        return output.ToString();
    }

    private static string? Directive(DateTimeOffset time, char directive) => directive switch
    {
        'Y' => Text("yyyy", time),
        'y' => Text("yy", time),
        'm' => Text("MM", time),
        'd' => Text("dd", time),
        'e' => time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
        'H' => Text("HH", time),
        'I' => Text("hh", time),
        'M' => Text("mm", time),
        'S' => Text("ss", time),
        'f' => Text("ffffff", time),
        'p' => time.Hour < 12 ? "AM" : "PM",
        'B' => Text("MMMM", time),
        'b' or 'h' => Text("MMM", time),
        'A' => Text("dddd", time),
        'a' => Text("ddd", time),
        'j' => time.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
        'F' => Text("yyyy-MM-dd", time),
        'T' => Text("HH:mm:ss", time),
        'D' => Text("MM/dd/yy", time),
        'R' => Text("HH:mm", time),
        'w' => ((int)time.DayOfWeek).ToString(CultureInfo.InvariantCulture),
        'z' => Text("zzz", time).Replace(":", "", StringComparison.Ordinal),
        'Z' => "UTC",
        'n' => "\n",
        't' => "\t",
        '%' => "%",
        _ => null,
    };

    private static string Text(string format, DateTimeOffset time) =>
        time.ToString(format, CultureInfo.InvariantCulture);
}
