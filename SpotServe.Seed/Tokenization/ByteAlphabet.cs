using System.Text;

namespace SpotServe.Seed.Tokenization;

/// <summary>
/// The printable stand-ins that byte-level BPE vocabularies write bytes with: printable Latin-1 stands for itself, the
/// other 68 bytes are U+0100 and on, in order.
/// </summary>
internal static class ByteAlphabet
{
    private const int LastChar = 0x143;
    private static readonly char[] Chars = new char[256];
    private static readonly short[] Bytes = new short[LastChar + 1];

    static ByteAlphabet()
    {
        Array.Fill(Bytes, (short)-1);
        var next = '\u0100';
        for (var value = 0; value < 256; value++)
        {
            var printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            var stand = printable ? (char)value : next++;
            Chars[value] = stand;
            Bytes[stand] = (short)value;
        }
    }

    /// <summary>A text's bytes in UTF-8, each as its stand-in.</summary>
    public static string Spell(string text)
    {
        Span<byte> bytes = text.Length <= 256 ? stackalloc byte[text.Length * 3] : new byte[text.Length * 3];
        bytes = bytes[..Encoding.UTF8.GetBytes(text, bytes)];
        var spelled = new StringBuilder(bytes.Length);
        foreach (var value in bytes) spelled.Append(Chars[value]);
        return spelled.ToString();
    }

    /// <summary>The byte that a character stands for, or null when it is not of the alphabet.</summary>
    public static byte? ByteOf(char stand) => stand <= LastChar && Bytes[stand] >= 0 ? (byte)Bytes[stand] : null;
}
