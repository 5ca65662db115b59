using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Node.Weights;

/// <summary>Reads a safetensors header without trusting it.</summary>
internal static class SafetensorsHeader
{
    public const int PrefixBytes = 8;

    /// <summary>The format's own limit.</summary>
    public const int HeaderBytesMax = 100_000_000;

    private const int DimensionsMax = 8;

    /// <summary>Length of the JSON header, checked against the file's.</summary>
    public static int Slice(string path, ReadOnlySpan<byte> prefix, long fileBytes)
    {
        var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > HeaderBytesMax)
        {
            throw new ModelFormatException(
                $"{path}: the header claims {length} bytes; the limit is {HeaderBytesMax}. Not a safetensors file?");
        }

        return (long)length <= fileBytes - PrefixBytes
            ? (int)length
            : throw new ModelFormatException(
                $"{path}: the header claims {length} bytes, but the file has {fileBytes}: it is truncated.");
    }

    /// <summary>Tensors by name, with offsets from the start of the file.</summary>
    /// <exception cref="ModelFormatException">Not JSON, or a tensor's entry is malformed, overlaps another or leaves
    /// the file.</exception>
    public static FrozenDictionary<string, StoredTensor> Parse(
        string path, ReadOnlySpan<byte> header, long dataStart, long fileBytes)
    {
        JsonDocument document;
        try
        {
            document = JsonTexts.Parse(header.ToArray());
        }
        catch (JsonException error)
        {
            throw new ModelFormatException($"{path}: the header is not JSON: {error.Message}", error);
        }

        using (document)
        {
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new ModelFormatException($"{path}: the header is not a JSON object.");
            var tensors = new Dictionary<string, StoredTensor>(StringComparer.Ordinal);
            foreach (var property in document.RootElement.EnumerateObject())
            {
                var name = property.Name;
                if (name == "__metadata__") continue;
                if (!tensors.TryAdd(name, ParseTensor(path, name, property.Value, dataStart, fileBytes)))
                    throw new ModelFormatException($"{path}: tensor {name} appears twice in the header.");
            }

            CheckContiguous(path, tensors.Values, dataStart, fileBytes);
            return tensors.ToFrozenDictionary(StringComparer.Ordinal);
        }
    }

    private static JsonElement? FieldOf(JsonElement entry, string field, JsonValueKind kind) =>
        entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty(field, out var value)
            && value.ValueKind == kind
            ? value
            : null;

    private static StoredTensor ParseTensor(
        string path, string name, JsonElement entry, long dataStart, long fileBytes)
    {
        if (FieldOf(entry, "dtype", JsonValueKind.String) is not { } type
            || FieldOf(entry, "shape", JsonValueKind.Array) is not { } shape
            || FieldOf(entry, "data_offsets", JsonValueKind.Array) is not { } offsets
            || offsets.GetArrayLength() != 2)
        {
            throw new ModelFormatException($"{path}: tensor {name} lacks dtype, shape or two data_offsets.");
        }

        if (shape.GetArrayLength() > DimensionsMax)
        {
            throw new ModelFormatException(
                $"{path}: tensor {name} has {shape.GetArrayLength()} dimensions; the limit is {DimensionsMax}.");
        }

        var dimensions = shape.EnumerateArray().Select(n => NumberOf(path, name, n)).ToArray();
        long first = NumberOf(path, name, offsets[0]), end = NumberOf(path, name, offsets[1]);
        if (first > end || end > fileBytes - dataStart)
        {
            throw new ModelFormatException(
                $"{path}: tensor {name} claims bytes [{first},{end}) of {fileBytes - dataStart}: "
                + "the file is truncated or its header wrong.");
        }

        // A type that no model family uses (an integer buffer, say) does no harm unless it is asked for.
        var known = TypeOf(JsonTexts.Of(type)
            ?? throw new ModelFormatException($"{path}: tensor {name} has a dtype that is not valid text."));
        if (known is { } elementType)
        {
            var bytes = BytesOf(path, name, dimensions, elementType.Bytes());
            if (bytes != end - first)
            {
                throw new ModelFormatException(
                    $"{path}: tensor {name} of shape [{string.Join(',', dimensions)}] and type {elementType} takes "
                    + $"{bytes} bytes, but its offsets give it {end - first}.");
            }
        }

        return new StoredTensor(name, known, dimensions, dataStart + first, end - first);
    }

    private static ElementType? TypeOf(string dtype) => dtype switch
    {
        "F32" => ElementType.Float32,
        "F16" => ElementType.Float16,
        "BF16" => ElementType.BFloat16,
        _ => null,
    };

    private static long NumberOf(string path, string name, JsonElement element) =>
        element.ValueKind == JsonValueKind.Number && element.TryGetInt64(out var value) && value >= 0
            ? value
            : throw new ModelFormatException(
                $"{path}: tensor {name} has {Clip(element.GetRawText())} where a size or offset belongs.");

    private static string Clip(string text) => text.Length <= 40 ? text : text[..40] + "...";

    private static long BytesOf(string path, string name, long[] shape, int elementBytes)
    {
        try
        {
            return shape.Aggregate((long)elementBytes, (bytes, n) => checked(bytes * n));
        }
        catch (OverflowException error)
        {
            throw new ModelFormatException(
                $"{path}: tensor {name} claims the absurd shape [{string.Join(',', shape)}].", error);
        }
    }

    /// <summary>The format forbids overlaps and gaps: either means that the header does not describe this
    /// file.</summary>
    private static void CheckContiguous(
        string path, IEnumerable<StoredTensor> tensors, long dataStart, long fileBytes)
    {
        var expected = dataStart;
        foreach (var tensor in tensors.OrderBy(t => t.Offset).ThenBy(t => t.Bytes))
        {
            if (tensor.Offset != expected)
            {
                var fault = tensor.Offset < expected ? "overlap" : "leave a gap";
                throw new ModelFormatException(
                    $"{path}: tensor {tensor.Name} starts at byte {tensor.Offset - dataStart}, but the one before it "
                    + $"ends at {expected - dataStart}: tensors {fault}.");
            }

            expected = tensor.Offset + tensor.Bytes;
        }

        if (expected != fileBytes)
        {
            throw new ModelFormatException(
                $"{path}: the tensors end at byte {expected}, but the file has {fileBytes}.");
        }
    }
}
