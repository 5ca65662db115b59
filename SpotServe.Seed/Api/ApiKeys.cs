using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;

namespace SpotServe.Seed.Api;

/// <summary>A key that clients may use the API with, as it is kept: never itself, only its hash.</summary>
/// <param name="Hash">SHA-256 of the key's bytes.</param>
/// <param name="Name">Whose it is, for people.</param>
public sealed record ApiKey(ImmutableArray<byte> Hash, string Name);

/// <summary>The keys of a seed's clients: lines "HASH NAME", the hash in hexadecimal digits.</summary>
public static class ApiKeys
{
    public const int KeysMax = 4_096;

    private const int NameCharsMax = 64;

    /// <summary>Reads keys; empty lines and those that begin with # are left out.</summary>
    /// <exception cref="FormatException">A line is no key, or there are too many or none; says which line.</exception>
    public static ImmutableArray<ApiKey> Parse(IEnumerable<string> lines)
    {
        var keys = ImmutableArray.CreateBuilder<ApiKey>();
        foreach (var (number, line) in lines.Select((line, i) => (i + 1, line.Trim())))
        {
            if (line.Length == 0 || line[0] == '#') continue;
            if (keys.Count == KeysMax) throw new FormatException($"has over {KeysMax:N0} keys, which is the limit");
            var parts = line.Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries);
            if (parts is not [{ Length: 2 * SHA256.HashSizeInBytes } hash, { Length: <= NameCharsMax } name]
                || !hash.All(char.IsAsciiHexDigit))
            {
                throw new FormatException(
                    $"line {number} must be the 64 hexadecimal digits of a key's SHA-256, a space and a name of up to "
                    + $"{NameCharsMax} characters; printf %s KEY | sha256sum makes the digits");
            }

            keys.Add(new ApiKey([.. Convert.FromHexString(hash)], name));
        }

        return keys.Count > 0 ? keys.ToImmutable() : throw new FormatException("has no key");
    }

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
