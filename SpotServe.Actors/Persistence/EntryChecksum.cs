using System.Buffers.Text;
using System.Numerics;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// A line behind an entry's text, with the CRC-32C of it: a changed byte may leave well-formed JSON that says something
/// else. Entries of former versions have none and are read as they are.
/// </summary>
internal static class EntryChecksum
{
    private const int HexDigits = 8;

    private const byte Separator = (byte)'\n';

    public static byte[] Append(byte[] text)
    {
        var entry = new byte[text.Length + 1 + HexDigits];
        text.CopyTo(entry, 0);
        entry[text.Length] = Separator;
        Invariant.Holds(Utf8Formatter.TryFormat(
            Of(text), entry.AsSpan(text.Length + 1), out var written, new('x', HexDigits)));
        Invariant.Holds(written == HexDigits);
        return entry;
    }

    /// <summary>The text without its checksum.</summary>
    /// <exception cref="JournalFormatException">The two do not belong together.</exception>
    public static byte[] Check(byte[] entry, string manifest)
    {
        var at = entry.Length - HexDigits - 1;
        // JSON without its indentation has no line breaks: an entry that has none there has no checksum.
        if (at < 0 || entry[at] != Separator) return entry;
        var text = entry[..at];
        return Utf8Parser.TryParse(entry.AsSpan(at + 1), out uint stored, out var read, 'x') && read == HexDigits
            && stored == Of(text)
                ? text
                : throw new JournalFormatException(
                    $"Journal entry '{manifest}' of {entry.Length} bytes is damaged: its checksum is another.");
    }

    private static uint Of(ReadOnlySpan<byte> text)
    {
        var crc = uint.MaxValue;
        foreach (var one in text) crc = BitOperations.Crc32C(crc, one);
        return ~crc;
    }
}
