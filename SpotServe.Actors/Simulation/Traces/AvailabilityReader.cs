using System.Collections.Immutable;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// Reads which machines were there when, in any of the published forms; the first line tells which: SpotServe's
/// segments (JSON lines), events as `time_ms,add|remove,node`, step curves as `time,count`, SkyPilot's JSON, and our
/// own `seconds,machines`.
/// </summary>
public static class AvailabilityReader
{
    private const int MachinesMax = 65_536;

    /// <exception cref="TraceException">The text is in none of these forms; names file and line.</exception>
    public static Availability Read(string file, string text)
    {
        var source = new TraceText(file, text);
        var (number, first) = source.Lines().FirstOrDefault();
        if (first is null) throw new TraceException(file, 0, "the file is empty", "it must have at least one line");
        if (first[0] == '[') return Segments(source);
        if (first[0] == '{') return SkyPilot(source);
        var fields = first.Split(',');
        if (IsOwn(first) && fields.Length != 2)
        {
            throw new TraceException(file, number, $"the header is \"{TraceText.Short(first)}\"",
                "of such a file it is seconds,machines and no more; a pool's price is said with --availability");
        }

        if (fields.Length == 3) return Events(source);
        if (fields.Length == 2) return Counts(source, first);
        throw new TraceException(file, number, $"\"{TraceText.Short(first)}\" is of no known form",
            "expected are JSON lines, time_ms,add|remove,node, time,count, SkyPilot's JSON or seconds,machines");
    }

    private static Availability Segments(TraceText source)
    {
        var fleet = new FleetBuilder(source);
        double? end = null;
        foreach (var (number, line) in source.Lines())
        {
            using var document = Json(source, number, line);
            var entry = document.RootElement;
            if (entry.ValueKind != JsonValueKind.Array || entry.GetArrayLength() != 3
                || entry[0].ValueKind != JsonValueKind.Number || entry[1].ValueKind != JsonValueKind.String
                || entry[2].ValueKind != JsonValueKind.Object)
            {
                throw new TraceException(source.File, number, $"\"{TraceText.Short(line)}\" is no event",
                    "expected is [milliseconds, \"add\", {\"nodes\": [...]}]");
            }

            var seconds = source.Number(number, entry[0].GetRawText(), "The time") / 1000;
            var nodes = ImmutableArray<string>.Empty;
            double? rate = null;
            foreach (var property in entry[2].EnumerateObject())
            {
                if (property.NameEquals("nodes")) nodes = Nodes(source, number, property.Value);
                else if (property.NameEquals("required_tpt"))
                    rate = source.Number(number, property.Value.GetRawText(), "required_tpt");
                else fleet.Unknown(property.Name);
            }

            switch (JsonTexts.Of(entry[1]))
            {
                case "add":
                    fleet.Change(number, seconds, nodes, [], rate);
                    break;
                case "remove":
                    fleet.Change(number, seconds, [], nodes, rate);
                    break;
                case "other" or "no-op":
                    fleet.Change(number, seconds, [], [], rate);
                    break;
                case "DONE":
                    end = seconds;
                    break;
                case var kind:
                    throw new TraceException(source.File, number, $"the event is \"{kind}\"",
                        "it must be add, remove, other, no-op or DONE");
            }
        }

        return fleet.Build(end);
    }

    private static Availability Events(TraceText source)
    {
        var fleet = new FleetBuilder(source);
        foreach (var (number, line) in source.Lines())
        {
            var fields = line.Split(',');
            if (fields.Length != 3 || fields[1] is not ("add" or "remove"))
            {
                throw new TraceException(source.File, number, $"\"{TraceText.Short(line)}\" is no event",
                    "expected is milliseconds,add|remove,node");
            }

            var seconds = source.Number(number, fields[0], "The time") / 1000;
            if (string.IsNullOrWhiteSpace(fields[2]))
            {
                throw new TraceException(source.File, number, $"\"{TraceText.Short(line)}\" names no machine",
                    "expected is milliseconds,add|remove,node");
            }

            ImmutableArray<string> node = [fields[2]];
            fleet.Change(
                number, seconds, fields[1] == "add" ? node : [], fields[1] == "remove" ? node : [], rate: null);
        }

        return fleet.Build(end: null);
    }

    /// <summary>Step curves. The published ones have no header and count seconds, or hours (files named "_scaled" or
    /// "-to-...-23"), or milliseconds (Parcae's); ours says so: "seconds,machines".</summary>
    private static Availability Counts(TraceText source, string first)
    {
        var hasHeader = IsOwn(first);
        var steps = new List<(double Seconds, int Count)>();
        foreach (var (number, line) in source.Lines().Skip(hasHeader ? 1 : 0))
        {
            var fields = line.Split(',');
            if (fields.Length != 2)
            {
                throw new TraceException(source.File, number, $"\"{TraceText.Short(line)}\" has {fields.Length} fields",
                    "expected are time,count");
            }

            var time = source.Number(number, fields[0], "The time");
            // Bamboo's are read off a plot: 7.0 and 7.3 are seven machines.
            if (fields[1].Contains('.', StringComparison.Ordinal))
                source.Number(number, fields[1], "The number of machines");
            var count = source.Count(
                number, fields[1].Split('.')[0], "The number of machines", 0, MachinesMax);
            if (steps.Count > 0 && time < steps[^1].Seconds)
                throw new TraceException(source.File, number, "the time goes backwards", "times must not fall");
            // Two rows of one time are a step: the later one counts.
            if (steps.Count > 0 && time == steps[^1].Seconds) steps.RemoveAt(steps.Count - 1);
            steps.Add((time, count));
        }

        if (steps.Count == 0) throw new TraceException(source.File, 1, "there is no row", "at least one must follow");
        var unit = hasHeader ? 1.0 : UnitOf(source.File, steps[^1].Seconds);
        var scaled = steps.ConvertAll(step => (step.Seconds * unit, step.Count));
        return Availability.OfCounts(source.File, scaled, scaled[^1].Item1, []);
    }

    private static bool IsOwn(string first) => first.StartsWith("seconds,", StringComparison.OrdinalIgnoreCase);

    /// <summary>Days of availability are some ten hours, ten thousand seconds or ten million milliseconds.</summary>
    private static double UnitOf(string file, double last)
    {
        const double HoursMax = 1000, SecondsMax = 10_000_000;
        if (file.Contains("_scaled", StringComparison.Ordinal) || last < HoursMax) return 3600;
        return last < SecondsMax ? 1 : 0.001;
    }

    private static Availability SkyPilot(TraceText source)
    {
        using var document = Json(source, 1, source.Text);
        var root = document.RootElement;
        if (!root.TryGetProperty("metadata", out var metadata) || metadata.ValueKind != JsonValueKind.Object
            || !metadata.TryGetProperty("gap_seconds", out var gap) || !root.TryGetProperty("data", out var data)
            || data.ValueKind != JsonValueKind.Array || data.GetArrayLength() == 0)
        {
            throw new TraceException(source.File, 1, "metadata.gap_seconds or data is missing",
                "expected is {\"metadata\": {\"gap_seconds\": n}, \"data\": [...]}");
        }

        var unknown = root.EnumerateObject().Select(property => property.Name)
            .Where(name => name is not ("metadata" or "data" or "prices"))
            .Select(name => $"{source.File}: the key {name} is not known and was passed over");
        var tick = source.Number(1, gap.GetRawText(), "gap_seconds");
        if (tick <= 0) throw new TraceException(source.File, 1, $"gap_seconds is {tick}", "it must be more than 0");
        var steps = data.EnumerateArray().Select((count, i) => (i * tick, Machines(source, count, i)));
        return Availability.OfCounts(
            source.File, [.. steps], data.GetArrayLength() * tick, [.. unknown]);
    }

    private static int Machines(TraceText source, JsonElement count, int index) =>
        count.ValueKind == JsonValueKind.Number && count.TryGetInt32(out var machines)
            && machines is >= 0 and <= MachinesMax
            ? machines
            : source.Count(LineOf(source.Text, index), count.GetRawText(), $"data[{index}]", 0, MachinesMax);

    /// <summary>The line in which an entry of "data" stands.</summary>
    private static int LineOf(string text, int index)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(text);
        var reader = new Utf8JsonReader(bytes);
        while (reader.Read() && !(reader.CurrentDepth == 1 && reader.TokenType == JsonTokenType.PropertyName
            && reader.ValueTextEquals("data")))
        {
        }

        reader.Read();
        for (var i = 0; i <= index && reader.Read(); i++) if (i < index) reader.Skip();
        return bytes.AsSpan(0, (int)reader.TokenStartIndex).Count((byte)'\n') + 1;
    }

    private static ImmutableArray<string> Nodes(TraceText source, int number, JsonElement nodes)
    {
        if (nodes.ValueKind == JsonValueKind.Array && nodes.GetArrayLength() <= MachinesMax
            && nodes.EnumerateArray().All(node => JsonTexts.Of(node) is not null))
        {
            return [.. nodes.EnumerateArray().Select(node => JsonTexts.Of(node)!)];
        }

        throw new TraceException(source.File, number, "nodes is no list of names", "expected is [\"node-0\", ...]");
    }

    private static JsonDocument Json(TraceText source, int number, string text)
    {
        try
        {
            return JsonTexts.Parse(text);
        }
        catch (JsonException error)
        {
            var line = number + (int)(error.LineNumber ?? 0);
            throw new TraceException(source.File, line, "it is no JSON", TraceText.Why(error));
        }
    }
}
