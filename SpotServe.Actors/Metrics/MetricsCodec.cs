using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;

namespace SpotServe.Actors.Metrics;

/// <summary>
/// A process's metrics as bytes: a few kilobytes where records would be ten times as long, since most of it is buckets
/// with nothing in them. Descriptions are not sent: the reader takes what its own catalogue has.
/// </summary>
internal static class MetricsCodec
{
    /// <summary>Longest report: well within one frame of the control plane.</summary>
    public const int BytesMax = 48 << 10;

    private const byte Version = 1;
    private const int FamiliesMax = 512;

    /// <returns>Null when it would be longer than <see cref="BytesMax"/>.</returns>
    public static ImmutableArray<byte>? Encode(ImmutableArray<MetricFamily> families)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        writer.Write(Version);
        writer.Write7BitEncodedInt(families.Length);
        foreach (var family in families)
        {
            writer.Write(family.Metric.Name);
            writer.Write7BitEncodedInt(family.Series.Length);
            foreach (var series in family.Series)
            {
                writer.Write(series.Labels);
                writer.Write(series.Value);
                foreach (var count in series.Buckets) writer.Write7BitEncodedInt64(count);
            }

            if (stream.Length > BytesMax) return null;
        }

        return ImmutableCollectionsMarshal.AsImmutableArray(stream.ToArray());
    }

    /// <summary>The families whose names the catalogue knows; others make the report malformed, since their length
    /// cannot be known.</summary>
    /// <exception cref="InvalidDataException">The bytes are no report.</exception>
    public static ImmutableArray<MetricFamily> Decode(
        ImmutableArray<byte> bytes, IReadOnlyDictionary<string, MetricDescription> catalogue)
    {
        if (bytes.IsDefaultOrEmpty || bytes.Length > BytesMax)
            throw new InvalidDataException($"a report of metrics has 1 to {BytesMax} bytes");
        using var stream = new MemoryStream(ImmutableCollectionsMarshal.AsArray(bytes)!, writable: false);
        using var reader = new BinaryReader(stream, Encoding.UTF8);
        try
        {
            if (reader.ReadByte() != Version) throw new InvalidDataException("another version's report of metrics");
            var families = ImmutableArray.CreateBuilder<MetricFamily>();
            var seen = new HashSet<string>();
            for (var left = Count(reader, FamiliesMax); left > 0; left--)
            {
                var name = reader.ReadString();
                if (!catalogue.TryGetValue(name, out var metric) || !seen.Add(name))
                    throw new InvalidDataException("a metric that is not known, or twice");
                families.Add(new MetricFamily(metric, ReadSeries(reader, metric)));
            }

            return stream.Position == stream.Length
                ? families.ToImmutable()
                : throw new InvalidDataException("bytes after the end of a report");
        }
        catch (Exception error) when (error is EndOfStreamException or FormatException or ArgumentException)
        {
            throw new InvalidDataException(error.Message, error);
        }
    }

    private static ImmutableArray<MetricSeries> ReadSeries(BinaryReader reader, MetricDescription metric)
    {
        var result = new MetricSeries[Count(reader, ProcessMetrics.SeriesMax * 2)];
        for (var i = 0; i < result.Length; i++)
        {
            var labels = reader.ReadString();
            var value = reader.ReadDouble();
            if (!LabelText.IsValid(labels) || !double.IsFinite(value))
                throw new InvalidDataException("labels or a value that cannot be exposed");
            var buckets = new long[metric.Kind == MetricKind.Histogram ? metric.Bounds.Length + 1 : 0];
            for (var b = 0; b < buckets.Length; b++) buckets[b] = Math.Max(0, reader.Read7BitEncodedInt64());
            result[i] = new MetricSeries(labels, value, [.. buckets]);
        }

        return [.. result];
    }

    private static int Count(BinaryReader reader, int max)
    {
        var count = reader.Read7BitEncodedInt();
        return count >= 0 && count <= max ? count : throw new InvalidDataException($"{count} where {max} are the most");
    }
}
