using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace SpotServe.Seed.Api;

/// <summary>A key that clients may use the API with, as it is kept: never itself, only its hash.</summary>
/// <param name="Hash">SHA-256 of the key's bytes.</param>
/// <param name="Name">Whose it is. Keys of one name are one client, and have the same rights.</param>
public sealed record ApiKey(ImmutableArray<byte> Hash, string Name)
{
    /// <summary>Its client's weight among those that wait, 1 to <see cref="Standing.WeightMax"/>.</summary>
    public int Weight { get; init; } = 1;

    /// <summary>Lowest, hence soonest, priority that its client's requests may ask for.</summary>
    public int PriorityMin { get; init; } = -Standing.PriorityMax;
}

/// <summary>The keys of a seed's clients: lines "HASH NAME [weight=N] [priority=N]", the hash in hexadecimal
/// digits, the priority the lowest that the key may ask for.</summary>
public static class ApiKeys
{
    public const int KeysMax = 4_096;

    private const int NameCharsMax = 64;
    private const string WeightOption = "weight=";
    private const string PriorityOption = "priority=";

    /// <summary>Reads keys; empty lines and those that begin with # are left out.</summary>
    /// <exception cref="FormatException">A line is no key, or there are too many or none; says which line.</exception>
    public static ImmutableArray<ApiKey> Parse(IEnumerable<string> lines)
    {
        var keys = new List<ApiKey>();
        var named = new Dictionary<string, ApiKey>();
        foreach (var (number, line) in lines.Select((line, i) => (i + 1, line.Trim())))
        {
            if (line.Length == 0 || line[0] == '#') continue;
            if (keys.Count == KeysMax) throw new FormatException($"has over {KeysMax:N0} keys, which is the limit");
            var key = Read(line, number);
            keys.Add(key);
            if (named.TryAdd(key.Name, key)) continue;
            var first = named[key.Name];
            if ((key.Weight, key.PriorityMin) != (first.Weight, first.PriorityMin))
                throw new FormatException($"line {number} gives {key.Name} another weight or priority than before");
        }

        return keys.Count > 0 ? [.. keys] : throw new FormatException("has no key");
    }

    private static ApiKey Read(string line, int number)
    {
        var parts = line.Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries);
        var (name, weight, priorityMin) = ReadClient(parts.Length == 2 ? parts[1] : "", number);
        if (parts[0].Length == 2 * SHA256.HashSizeInBytes && parts[0].All(char.IsAsciiHexDigit)
            && name.Length is > 0 and <= NameCharsMax)
        {
            return new ApiKey([.. Convert.FromHexString(parts[0])], name)
            {
                Weight = weight,
                PriorityMin = priorityMin,
            };
        }

        throw new FormatException(
            $"line {number} must be the 64 hexadecimal digits of a key's SHA-256, a space and a name of up to "
            + $"{NameCharsMax} characters, behind it weight=N and priority=N where they are wanted; "
            + "printf %s KEY | sha256sum makes the digits");
    }

    /// <summary>Options stand behind the name, which may have spaces.</summary>
    private static (string Name, int Weight, int PriorityMin) ReadClient(string text, int line)
    {
        var (weight, priorityMin) = (1, -Standing.PriorityMax);
        while (text.Length > 0)
        {
            var space = text.LastIndexOfAny([' ', '\t']);
            var word = text[(space + 1)..];
            if (word.StartsWith(WeightOption, StringComparison.Ordinal))
                weight = Number(word, WeightOption, line, 1, Standing.WeightMax);
            else if (word.StartsWith(PriorityOption, StringComparison.Ordinal))
                priorityMin = Number(word, PriorityOption, line, -Standing.PriorityMax, Standing.PriorityMax);
            else break;
            text = text[..Math.Max(0, space)].TrimEnd();
        }

        return (text, weight, priorityMin);
    }

    private static int Number(string word, string option, int line, int min, int max) =>
        int.TryParse(word[option.Length..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
            && number >= min && number <= max
            ? number
            : throw new FormatException($"line {line} has {word}; behind {option} stands a number of {min} to {max}");

    /// <summary>The key that was sent; null when it is none of these. Compares with all of them, each in the same time,
    /// so that how long it takes says nothing of them.</summary>
    public static ApiKey? Find(ImmutableArray<ApiKey> keys, string sent)
    {
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(sent));
        ApiKey? found = null;
        foreach (var key in keys)
        {
            if (CryptographicOperations.FixedTimeEquals(hash, key.Hash.AsSpan())) found = key;
        }

        return found;
    }
}
