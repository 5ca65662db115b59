using System.Buffers.Binary;
using System.Text;

namespace SpotServe.Node.Engine;

/// <summary>
/// Makes a copy of libLibTorchSharp.so acceptable to a libstdc++ older than GCC 13's. The library asks for version
/// GLIBCXX_3.4.32 because of one symbol, an initialiser that does nothing in shared libraries; here the symbol becomes
/// a hidden definition inside the file (its .fini, a function that returns at once) and the version a weak need.
/// </summary>
internal static class ElfPatch
{
    public const string Symbol = "_ZSt21ios_base_library_initv";
    public const string Version = "GLIBCXX_3.4.32";

    private const int SectionHeaderBytes = 64;
    private const int SymbolBytes = 24;
    private const byte HiddenVisibility = 2;
    private const ushort GlobalVersion = 1;
    private const ushort WeakFlag = 2;

    private readonly record struct Section(int Index, string Name, ulong Address, int Offset, int Size);

    /// <summary>Edits the image in place.</summary>
    /// <returns>False when the image does not need the symbol, and nothing was changed.</returns>
    /// <exception cref="InvalidDataException">Not a 64-bit little-endian ELF library of the expected build.</exception>
    public static bool Apply(Span<byte> image)
    {
        try
        {
            return ApplyToSections(image);
        }
        catch (Exception error) when (error is ArgumentOutOfRangeException or IndexOutOfRangeException
            or OverflowException)
        {
            throw new InvalidDataException("The library's ELF tables point outside the file.", error);
        }
    }

    private static bool ApplyToSections(Span<byte> image)
    {
        if (image.Length < 64 || !image[..6].SequenceEqual<byte>([0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1]))
            throw new InvalidDataException("The library is not a 64-bit little-endian ELF file.");

        var sections = ReadSections(image);
        var strings = Find(sections, ".dynstr");
        var symbols = Find(sections, ".dynsym");
        var symbol = FindSymbol(image, symbols, strings);
        if (symbol < 0) return false;

        var fini = Find(sections, ".fini");
        var entry = image.Slice(symbols.Offset + (symbol * SymbolBytes), SymbolBytes);
        entry[5] = HiddenVisibility;
        BinaryPrimitives.WriteUInt16LittleEndian(entry[6..], (ushort)fini.Index);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], fini.Address);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], (ulong)fini.Size);

        var versions = Find(sections, ".gnu.version");
        BinaryPrimitives.WriteUInt16LittleEndian(image[(versions.Offset + (symbol * 2))..], GlobalVersion);
        WeakenNeed(image, Find(sections, ".gnu.version_r"), strings);
        return true;
    }

    private static int FindSymbol(ReadOnlySpan<byte> image, Section symbols, Section strings)
    {
        for (var i = 1; i < symbols.Size / SymbolBytes; i++)
        {
            var name = (int)U32(image, symbols.Offset + (i * SymbolBytes));
            if (TextAt(image, strings, name) == Symbol) return i;
        }

        return -1;
    }

    /// <summary>Walks the needed versions: one record for each library, each with a chain of versions.</summary>
    private static void WeakenNeed(Span<byte> image, Section needs, Section strings)
    {
        var record = needs.Offset;
        for (var hops = 0; hops < 256; hops++)
        {
            var version = record + (int)U32(image, record + 8);
            for (int i = 0, count = U16(image, record + 2); i < count; i++)
            {
                if (TextAt(image, strings, (int)U32(image, version + 8)) == Version)
                    BinaryPrimitives.WriteUInt16LittleEndian(image[(version + 4)..], WeakFlag);
                version += (int)U32(image, version + 12);
            }

            var next = (int)U32(image, record + 12);
            if (next == 0) return;
            record += next;
        }

        throw new InvalidDataException("The library's version table does not end.");
    }

    private static List<Section> ReadSections(ReadOnlySpan<byte> image)
    {
        var table = checked((int)U64(image, 40));
        int count = U16(image, 60), namesIndex = U16(image, 62);
        var raw = new List<(uint Name, Section Section)>(count);
        for (var i = 0; i < count; i++)
        {
            var at = table + (i * SectionHeaderBytes);
            raw.Add((U32(image, at), new Section(
                i, "", U64(image, at + 16), checked((int)U64(image, at + 24)), checked((int)U64(image, at + 32)))));
        }

        var names = raw[namesIndex].Section;
        var sections = new List<Section>(count);
        foreach (var (name, section) in raw)
            sections.Add(section with { Name = TextAt(image, names, (int)name) });
        return sections;
    }

    private static Section Find(List<Section> sections, string name) =>
        sections.Find(s => s.Name == name) is { Size: > 0 } found
            ? found
            : throw new InvalidDataException($"The library has no section {name}.");

    private static string TextAt(ReadOnlySpan<byte> image, Section strings, int offset)
    {
        var text = image.Slice(strings.Offset, strings.Size)[offset..];
        return Encoding.ASCII.GetString(text[..text.IndexOf((byte)0)]);
    }

    private static ushort U16(ReadOnlySpan<byte> image, int at) =>
        BinaryPrimitives.ReadUInt16LittleEndian(image.Slice(at, 2));

    private static uint U32(ReadOnlySpan<byte> image, int at) =>
        BinaryPrimitives.ReadUInt32LittleEndian(image.Slice(at, 4));

    private static ulong U64(ReadOnlySpan<byte> image, int at) =>
        BinaryPrimitives.ReadUInt64LittleEndian(image.Slice(at, 8));
}
