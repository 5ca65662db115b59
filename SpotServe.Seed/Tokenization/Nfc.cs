using System.Globalization;
using System.Text;

namespace SpotServe.Seed.Tokenization;

/// <summary>
/// Unicode normalization forms. Our own because the runtime's needs ICU, which this product does without
/// (invariant globalization); there String.Normalize returns anything that is not ASCII as it came.
/// </summary>
internal static class Nfc
{
    private const int HangulFirst = 0xAC00, LeadFirst = 0x1100, VowelFirst = 0x1161, TrailFirst = 0x11A7;
    private const int LeadCount = 19, VowelCount = 21, TrailCount = 28;
    private const int HangulCount = LeadCount * VowelCount * TrailCount;

    /// <summary>Below this no character decomposes, combines or composes with what follows it inside the
    /// range.</summary>
    private const char FirstCombining = '\u0300';

    /// <summary>Below this nothing decomposes in any form.</summary>
    private const char FirstDecomposed = '\u00A0';

    private static readonly Dictionary<int, int[]> Decompositions = [];
    private static readonly Dictionary<int, int[]> Compatible = [];
    private static readonly Dictionary<(int, int), int> Compositions = [];
    private static readonly Dictionary<int, byte> Classes = [];

    static Nfc()
    {
        foreach (var entry in Entries(NfcData.Decompositions))
        {
            var parts = entry.Split('=', '+', '-');
            var code = Hex(parts[0]);
            Decompositions[code] = [.. parts[1..].Select(Hex)];
            if (entry.Contains('+')) Compositions[(Hex(parts[1]), Hex(parts[2]))] = code;
        }

        foreach (var entry in Entries(NfkcData.Decompositions))
        {
            var parts = entry.Split('=', '+');
            var ends = parts[0].Split('-');
            int first = Hex(ends[0]), last = Hex(ends[^1]);
            for (var code = first; code <= last; code++)
                Compatible[code] = [.. parts[1..].Select(part => Hex(part) + code - first)];
        }

        foreach (var entry in Entries(NfcData.CombiningClasses))
        {
            var parts = entry.Split('-', ':');
            for (var code = Hex(parts[0]); code <= Hex(parts[^2]); code++)
                Classes[code] = byte.Parse(parts[^1], CultureInfo.InvariantCulture);
        }

        static string[] Entries(string table) =>
            table.Split([' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries);

        static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }

    /// <summary>The text in form D, C, KD or KC. O(n log n) at worst, in the longest run of combining marks.</summary>
    /// <param name="isCompatible">KD or KC: compatibility forms become what they stand for.</param>
    /// <param name="composes">C or KC.</param>
    public static string Normalize(string text, bool isCompatible = false, bool composes = true)
    {
        var firstChanged = composes && !isCompatible ? FirstCombining : FirstDecomposed;
        if (text.AsSpan().IndexOfAnyInRange(firstChanged, char.MaxValue) < 0) return text;

        var codes = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes()) Decompose(rune.Value, codes, isCompatible);
        Reorder(codes);
        if (composes) Compose(codes);

        var result = new StringBuilder(codes.Count);
        Span<char> pair = stackalloc char[2];
        foreach (var code in codes) result.Append(pair[..new Rune(code).EncodeToUtf16(pair)]);
        return result.ToString();
    }

    private static void Decompose(int code, List<int> into, bool isCompatible)
    {
        var hangul = code - HangulFirst;
        if (hangul is >= 0 and < HangulCount)
        {
            into.Add(LeadFirst + (hangul / (VowelCount * TrailCount)));
            into.Add(VowelFirst + (hangul / TrailCount % VowelCount));
            if (hangul % TrailCount != 0) into.Add(TrailFirst + (hangul % TrailCount));
        }
        else if (Decompositions.TryGetValue(code, out var parts))
        {
            foreach (var part in parts) Decompose(part, into, isCompatible);
        }
        else if (isCompatible && Compatible.TryGetValue(code, out var meant))
        {
            foreach (var part in meant) Decompose(part, into, isCompatible);
        }
        else
        {
            into.Add(code);
        }
    }

    /// <summary>Sorts each run of combining marks by class, keeping the order of equals.</summary>
    private static void Reorder(List<int> codes)
    {
        for (var start = 0; start < codes.Count; start++)
        {
            if (Class(codes[start]) == 0) continue;
            var end = start + 1;
            while (end < codes.Count && Class(codes[end]) != 0) end++;
            if (end - start > 1)
            {
                var sorted = codes.GetRange(start, end - start).OrderBy(Class).ToArray();
                for (var i = 0; i < sorted.Length; i++) codes[start + i] = sorted[i];
            }

            start = end;
        }
    }

    /// <summary>Joins each starter with the marks after it that nothing blocks (Unicode standard, D117).</summary>
    private static void Compose(List<int> codes)
    {
        var kept = 0;
        var starter = -1;
        var lastClass = 0;
        for (var i = 0; i < codes.Count; i++)
        {
            var code = codes[i];
            var combining = Class(code);
            var adjacent = starter >= 0 && starter == kept - 1;
            if (starter >= 0 && (adjacent || (lastClass < combining && lastClass != 0))
                && Pair(codes[starter], code) is { } composed)
            {
                codes[starter] = composed;
                continue;
            }

            if (combining == 0) starter = kept;
            lastClass = combining;
            codes[kept++] = code;
        }

        codes.RemoveRange(kept, codes.Count - kept);
    }

    private static int? Pair(int first, int second)
    {
        var lead = first - LeadFirst;
        var vowel = second - VowelFirst;
        if (lead is >= 0 and < LeadCount && vowel is >= 0 and < VowelCount)
            return HangulFirst + (((lead * VowelCount) + vowel) * TrailCount);

        var syllable = first - HangulFirst;
        var trail = second - TrailFirst;
        if (syllable is >= 0 and < HangulCount && syllable % TrailCount == 0 && trail is > 0 and < TrailCount)
            return first + trail;

        return Compositions.TryGetValue((first, second), out var code) ? code : null;
    }

    private static byte Class(int code) => Classes.GetValueOrDefault(code);
}
