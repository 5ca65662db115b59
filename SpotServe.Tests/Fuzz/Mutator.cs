using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace SpotServe.Tests.Fuzz;

/// <summary>Makes inputs of a kind that are nearly right: good ones, changed in a few places, by bytes or, where they
/// are JSON, by its parts. The same seed makes the same inputs. Not thread-safe.</summary>
/// <param name="corpus">Good inputs, at least one.</param>
/// <param name="words">What the kind's language is made of.</param>
internal sealed class Mutator(Random random, IReadOnlyList<byte[]> corpus, IReadOnlyList<string> words)
{
    /// <summary>Beyond it a mutation makes an input no longer.</summary>
    private const int BytesMax = 64 << 10;

    private const int DeepestNesting = 200;

    private static readonly string[] Scalars =
    [
        "null", "true", "false", "0", "-0", "1", "-1", "2.5", "1e999", "-1e308", "4294967296", "9223372036854775807",
        "-9223372036854775809", "99999999999999999999", "\"\"", "\"x\"", "\"\\ud800\"", "\"\\u0000\"", "\"1,2,2\"",
        "\"é😀\"", "[]", "{}", "[null]", "{\"\":null}",
    ];

    public byte[] Next()
    {
        var input = corpus[random.Next(corpus.Count)];
        if (random.Next(3) > 0) input = WithChangedParts(input) ?? input;
        for (var changes = random.Next(4); changes > 0; changes--) input = WithChangedBytes(input);
        return input;
    }

    private byte[] WithChangedBytes(byte[] input)
    {
        var at = random.Next(input.Length + 1);
        var length = random.Next(Math.Min(16, input.Length - at) + 1);
        byte[] between = random.Next(6) switch
        {
            0 => [],
            1 => [(byte)random.Next(256)],
            2 => Encoding.UTF8.GetBytes(words[random.Next(words.Count)]),
            3 => Encoding.UTF8.GetBytes(Scalars[random.Next(Scalars.Length)]),
            4 => [.. Enumerable.Repeat(Piece(input), 1 + random.Next(50)).SelectMany(piece => piece)],
            _ => Piece(corpus[random.Next(corpus.Count)]),
        };
        // Half of them put something in, the others over what is there.
        var rest = random.Next(2) == 0 ? at : at + length;
        byte[] output = [.. input.AsSpan(0, at), .. between, .. input.AsSpan(rest)];
        return output.Length <= BytesMax ? output : input;
    }

    private byte[] Piece(byte[] input)
    {
        var at = random.Next(input.Length + 1);
        return input.AsSpan(at, random.Next(Math.Min(32, input.Length - at) + 1)).ToArray();
    }

    /// <summary>Null for what is no JSON.</summary>
    private byte[]? WithChangedParts(byte[] input)
    {
        try
        {
            if (JsonNode.Parse(input) is not { } root) return null;
            for (var changes = 1 + random.Next(3); changes > 0; changes--) ChangePart(root);
            var output = Encoding.UTF8.GetBytes(root.ToJsonString());
            return output.Length <= BytesMax ? output : null;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }

    private void ChangePart(JsonNode root)
    {
        var (parent, key) = Place(root);
        var before = parent is JsonArray list ? list[(int)key] : parent.AsObject()[(string)key];
        var scalar = JsonNode.Parse(Scalars[random.Next(Scalars.Length)]);
        JsonNode? after = random.Next(6) switch
        {
            0 or 1 => scalar,
            2 => Part(root)?.DeepClone(),
            3 => new JsonArray(before?.DeepClone(), scalar),
            4 => Nested(random.Next(DeepestNesting)),
            _ => JsonValue.Create(words[random.Next(words.Count)]),
        };
        switch (random.Next(5), parent)
        {
            case (0, JsonArray array):
                array.RemoveAt((int)key);
                break;
            case (0, _):
                parent.AsObject().Remove((string)key);
                break;
            case (1, JsonArray array):
                array.Insert((int)key, after);
                break;
            case (1, _):
                parent.AsObject()[words[random.Next(words.Count)]] = after;
                break;
            case (_, JsonArray array):
                array[(int)key] = after;
                break;
            default:
                parent.AsObject()[(string)key] = after;
                break;
        }
    }

    private JsonNode? Part(JsonNode root)
    {
        var (parent, key) = Place(root);
        return parent is JsonArray list ? list[(int)key] : parent.AsObject()[(string)key];
    }

    /// <summary>A place of the document, each step down to it drawn.</summary>
    private (JsonNode Parent, object Key) Place(JsonNode root)
    {
        var at = root;
        while (true)
        {
            var (child, key) = at switch
            {
                JsonArray { Count: > 0 } list when random.Next(list.Count) is var i => (list[i], (object)i),
                JsonObject { Count: > 0 } map when map.GetAt(random.Next(map.Count)) is var member =>
                    (member.Value, member.Key),
                _ => throw new InvalidOperationException("The document has no parts."),
            };
            if (child is not (JsonArray { Count: > 0 } or JsonObject { Count: > 0 }) || random.Next(3) == 0)
                return (at, key);
            at = child;
        }
    }

    private static JsonArray Nested(int depth)
    {
        var nested = new JsonArray();
        for (var i = 0; i < depth; i++) nested = [nested];
        return nested;
    }
}
