using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpotServe.Actors.Simulation;

/// <summary>What a control node wrote down of a live cluster, a JSON object a line.</summary>
/// <param name="Begun">The first line.</param>
/// <param name="Entries">The others, by rising time.</param>
/// <param name="Notes">What a reader has to know of it, e.g. that it was cut.</param>
public sealed record Recording(
    RecordedEntry.Begun Begun, ImmutableArray<RecordedEntry> Entries, ImmutableArray<string> Notes)
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
        IgnoreReadOnlyProperties = true,
        RespectRequiredConstructorParameters = true,
    };

    public double EndSeconds => Entries.IsEmpty ? 0 : Entries[^1].Seconds;

    /// <summary>One line, without its end.</summary>
    public static string Line(RecordedEntry entry) => JsonSerializer.Serialize(entry, Options);

    /// <exception cref="TraceException">It is no recording; names file and line.</exception>
    public static Recording Read(string file, string text)
    {
        var source = new TraceText(file, text);
        RecordedEntry.Begun? begun = null;
        var entries = ImmutableArray.CreateBuilder<RecordedEntry>();
        var notes = ImmutableArray.CreateBuilder<string>();
        var last = source.LineCount;
        foreach (var (number, line) in source.Lines())
        {
            RecordedEntry entry;
            try
            {
                entry = JsonSerializer.Deserialize<RecordedEntry>(line, Options)
                    ?? throw new JsonException("it is null");
            }
            catch (JsonException error) when (number == last && begun is not null)
            {
                notes.Add($"{file}, line {number}: the last line was not written to its end ({error.Path ?? "cut"})");
                break;
            }
            catch (Exception error) when (error is JsonException or NotSupportedException or ArgumentException)
            {
                throw new TraceException(file, number, $"it is no line of a recording: {First(error)}",
                    "each line is a JSON object with \"what\" and \"seconds\"");
            }

            if (begun is null)
            {
                begun = entry as RecordedEntry.Begun ?? throw new TraceException(
                    file, number, "a recording begins with \"begun\"", "give a file that --record wrote");
                if (begun.Form != RecordedEntry.Begun.CurrentForm)
                {
                    throw new TraceException(file, number, $"its form is {begun.Form}",
                        $"this program reads {RecordedEntry.Begun.CurrentForm}");
                }

                continue;
            }

            if (!double.IsFinite(entry.Seconds) || entry.Seconds < 0)
                throw new TraceException(file, number, $"its time is {entry.Seconds}", "it must be 0 or more");
            entries.Add(entry);
        }

        if (begun is null) throw new TraceException(file, 0, "the file is empty", "give a file that --record wrote");
        if (entries is not [.., RecordedEntry.Over])
            notes.Add($"{file} has no end: the process was killed, or still runs");
        else if (((RecordedEntry.Over)entries[^1]).Missing is > 0 and var missing)
            notes.Add($"{file}: {missing} lines are missing, because the disk was too slow");
        // Requests and views are written by several threads: neighbours may have changed places.
        return new Recording(
            begun, [.. entries.OrderBy(entry => entry.Seconds)], notes.ToImmutable());
    }

    private static string First(Exception error) => TraceText.Why(error).Split('\n')[0].TrimEnd('.', '\r');
}
