using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// Reads when requests came and how long they were, in any of the published forms; the first line tells which:
/// SpotServe's `id,seconds,S_in,offset`, Azure's `TIMESTAMP,ContextTokens,GeneratedTokens`, Mooncake's JSON lines, and
/// our own `seconds,prompt_tokens,output_tokens`.
/// </summary>
public static class ArrivalReader
{
    private const int TokensMax = 1 << 20;

    /// <summary>What SpotServe's files leave out: every output has 128 tokens.</summary>
    private const int SpotServeOutputTokens = 128;

    /// <returns>By rising time, with notes on what was passed over.</returns>
    /// <exception cref="TraceException">The text is in none of these forms; names file and line.</exception>
    public static (ImmutableArray<Arrival> Arrivals, ImmutableArray<string> Notes) Read(string file, string text)
    {
        var source = new TraceText(file, text);
        var (number, first) = source.Lines().FirstOrDefault();
        if (first is null) throw new TraceException(file, 0, "the file is empty", "it must have at least one line");
        if (first[0] == '{') return Mooncake(source);
        if (first.StartsWith("TIMESTAMP,", StringComparison.OrdinalIgnoreCase)) return (Azure(source), []);
        if (first.StartsWith("seconds,", StringComparison.OrdinalIgnoreCase)) return (Own(source), []);
        if (first.Split(',').Length == 4 && char.IsAsciiDigit(first[0])) return (SpotServe(source), []);
        throw new TraceException(file, number, $"\"{TraceText.Short(first)}\" is of no known form",
            "expected are id,seconds,S_in,offset, TIMESTAMP,ContextTokens,GeneratedTokens, Mooncake's JSON lines, or "
            + "seconds,prompt_tokens,output_tokens");
    }

    private static ImmutableArray<Arrival> SpotServe(TraceText source) => Rows(source, 4, 0, (number, fields) =>
        new Arrival(
            source.Number(number, fields[1], "The time"),
            source.Count(number, fields[2], "The prompt's length", 1, TokensMax),
            SpotServeOutputTokens));

    private static ImmutableArray<Arrival> Own(TraceText source) => Rows(source, 3, 1, (number, fields) =>
        new Arrival(
            source.Number(number, fields[0], "The time"),
            source.Count(number, fields[1], "The prompt's length", 1, TokensMax),
            source.Count(number, fields[2], "The output's length", 1, TokensMax)));

    private static ImmutableArray<Arrival> Azure(TraceText source)
    {
        DateTime? start = null;
        return Rows(source, 3, 1, (number, fields) =>
        {
            if (!DateTime.TryParse(
                fields[0], CultureInfo.InvariantCulture,
                DateTimeStyles.AdjustToUniversal | DateTimeStyles.AssumeUniversal, out var at))
            {
                throw new TraceException(source.File, number, $"the time is \"{TraceText.Short(fields[0])}\"",
                    "it must be like 2023-11-16 18:15:46.68");
            }

            start ??= at;
            // An output of none still took a step.
            return new Arrival(
                (at - start.Value).TotalSeconds,
                source.Count(number, fields[1], "ContextTokens", 1, TokensMax),
                Math.Max(1, source.Count(number, fields[2], "GeneratedTokens", 0, TokensMax)));
        });
    }

    private static (ImmutableArray<Arrival> Arrivals, ImmutableArray<string> Notes) Mooncake(TraceText source)
    {
        var arrivals = ImmutableArray.CreateBuilder<Arrival>();
        var unknown = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var (number, line) in source.Lines())
        {
            double? seconds = null;
            int? prompt = null, output = null;
            try
            {
                using var document = JsonTexts.Parse(line);
                foreach (var property in document.RootElement.EnumerateObject())
                {
                    var value = property.Value.GetRawText();
                    if (property.NameEquals("timestamp")) seconds = source.Number(number, value, "timestamp") / 1000;
                    else if (property.NameEquals("input_length"))
                        prompt = source.Count(number, value, "input_length", 1, TokensMax);
                    else if (property.NameEquals("output_length"))
                        output = Math.Max(1, source.Count(number, value, "output_length", 0, TokensMax));
                    else if (!property.NameEquals("hash_ids")) unknown.Add(property.Name);
                }
            }
            catch (Exception error) when (error is JsonException or InvalidOperationException)
            {
                throw new TraceException(source.File, number, "it is no JSON object", TraceText.Why(error));
            }

            if (seconds is not { } at || prompt is not { } tokens || output is not { } generated)
            {
                throw new TraceException(source.File, number, "timestamp, input_length or output_length is missing",
                    "all three must be there");
            }

            Add(source, number, arrivals, new Arrival(at, tokens, generated));
        }

        return (arrivals.ToImmutable(),
            [.. unknown.Select(key => $"{source.File}: the key {key} is not known and was passed over")]);
    }

    private static ImmutableArray<Arrival> Rows(
        TraceText source, int fieldCount, int headerLines, Func<int, string[], Arrival> read)
    {
        var arrivals = ImmutableArray.CreateBuilder<Arrival>();
        foreach (var (number, line) in source.Lines().Skip(headerLines))
        {
            var fields = line.Split(',');
            if (fields.Length != fieldCount)
            {
                throw new TraceException(source.File, number, $"\"{TraceText.Short(line)}\" has {fields.Length} fields",
                    $"expected are {fieldCount}");
            }

            Add(source, number, arrivals, read(number, fields));
        }

        return arrivals.ToImmutable();
    }

    private static void Add(
        TraceText source, int number, ImmutableArray<Arrival>.Builder arrivals, Arrival arrival)
    {
        if (arrivals.Count > 0 && arrival.Seconds < arrivals[^1].Seconds)
            throw new TraceException(source.File, number, "the time goes backwards", "times must not fall");
        arrivals.Add(arrival);
    }
}
