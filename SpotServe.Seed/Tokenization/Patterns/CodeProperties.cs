using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace SpotServe.Seed.Tokenization.Patterns;

/// <summary>Sets of code points by the names that patterns use: general categories, scripts, and a few more.</summary>
internal static class CodeProperties
{
    private static readonly FrozenDictionary<string, CodeSet> Named = Name();

    /// <summary>Letters that differ in case only, by twos and threes.</summary>
    private static readonly int[][] CaseGroups = FindCaseGroups();

    public static CodeSet White { get; } =
        CodeSet.Of([(9, 13), (0x20, 0x20), (0x85, 0x85)]).Or(Named["z"]);

    public static CodeSet Digit { get; } = Named["nd"];

    /// <summary>Letters and what is written like them, marks, digits, and punctuation that connects.</summary>
    public static CodeSet Word { get; } = Named["l"].Or(Named["m"]).Or(Named["nd"]).Or(Named["nl"]).Or(Named["pc"])
        .Or(CodeSet.Of(0x24B6, 0x24E9));

    public static CodeSet Punctuation { get; } =
        Named["p"].Or(CodeSet.Of([('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]));

    /// <summary>A category ("Lu", "Uppercase_Letter"), script ("Han") or POSIX class ("alpha"); null when there is none
    /// of this name. Case, spaces, hyphens and underscores in names do not count.</summary>
    public static CodeSet? Find(string name) => Named.GetValueOrDefault(Key(name));

    /// <summary>The set, with all that differs from its members in case only.</summary>
    public static CodeSet IgnoringCase(CodeSet set) =>
        set.Or(CodeSet.Of(CaseGroups.Where(group => group.Any(set.Contains)).SelectMany(group => group)));

    private static string Key(string name) =>
        string.Concat(name.Where(c => c is not ('_' or '-' or ' '))).ToLowerInvariant();

    private static FrozenDictionary<string, CodeSet> Name()
    {
        var named = new Dictionary<string, CodeSet>(StringComparer.Ordinal);
        AddCategories(named);
        foreach (var line in ScriptData.Scripts.Split(['\n', ' '], StringSplitOptions.RemoveEmptyEntries)
            .Aggregate(new List<List<string>>(), (lists, word) =>
            {
                if (word.EndsWith(':')) lists.Add([word]);
                else lists[^1].Add(word);
                return lists;
            }))
        {
            named.TryAdd(Key(line[0].TrimEnd(':')), CodeSet.Of(line.Skip(1).Select(Range)));
        }

        var graphic = named["z"].Or(named["c"]).Not();
        foreach (var (name, set) in ((string, CodeSet)[])
        [
            ("any", CodeSet.All), ("assigned", named["cn"].Not()), ("ascii", CodeSet.Of(0, 127)),
            ("alpha", named["l"].Or(named["m"]).Or(named["nl"])), ("alphabetic", named["l"].Or(named["nl"])),
            ("alnum", named["l"].Or(named["m"]).Or(named["nl"]).Or(named["nd"])),
            ("blank", named["zs"].Or(CodeSet.Of(9, 9))), ("cntrl", named["cc"]), ("digit", named["nd"]),
            ("graph", graphic),
            ("lower", named["ll"]), ("upper", named["lu"]), ("print", graphic.Or(named["zs"])),
            ("space", named["z"].Or(CodeSet.Of([(9, 13), (0x85, 0x85)]))),
            ("whitespace", named["z"].Or(CodeSet.Of([(9, 13), (0x85, 0x85)]))),
            ("xdigit", CodeSet.Of([('0', '9'), ('A', 'F'), ('a', 'f')])),
            ("word", named["l"].Or(named["m"]).Or(named["nd"]).Or(named["nl"]).Or(named["pc"])),
        ])
        {
            named.TryAdd(name, set);
        }

        return named.ToFrozenDictionary(StringComparer.Ordinal);

        static (int, int) Range(string text)
        {
            var ends = text.Split('-');
            return (int.Parse(ends[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture),
                int.Parse(ends[^1], NumberStyles.HexNumber, CultureInfo.InvariantCulture));
        }
    }

    /// <summary>By the runtime's tables, the two-letter categories and their one-letter unions.</summary>
    private static void AddCategories(Dictionary<string, CodeSet> named)
    {
        (string Short, string Long)[] names =
        [
            ("lu", "uppercaseletter"), ("ll", "lowercaseletter"), ("lt", "titlecaseletter"), ("lm", "modifierletter"),
            ("lo", "otherletter"), ("mn", "nonspacingmark"), ("mc", "spacingmark"), ("me", "enclosingmark"),
            ("nd", "decimalnumber"), ("nl", "letternumber"), ("no", "othernumber"), ("zs", "spaceseparator"),
            ("zl", "lineseparator"), ("zp", "paragraphseparator"), ("cc", "control"), ("cf", "format"),
            ("cs", "surrogate"), ("co", "privateuse"), ("pc", "connectorpunctuation"), ("pd", "dashpunctuation"),
            ("ps", "openpunctuation"), ("pe", "closepunctuation"), ("pi", "initialpunctuation"),
            ("pf", "finalpunctuation"), ("po", "otherpunctuation"), ("sm", "mathsymbol"), ("sc", "currencysymbol"),
            ("sk", "modifiersymbol"), ("so", "othersymbol"), ("cn", "unassigned"),
        ];
        var ranges = names.Select(_ => new List<(int, int)>()).ToArray();
        var first = 0;
        for (var code = 1; code <= 0x110000; code++)
        {
            var category = CharUnicodeInfo.GetUnicodeCategory(first);
            if (code < 0x110000 && CharUnicodeInfo.GetUnicodeCategory(code) == category) continue;
            ranges[(int)category].Add((first, code - 1));
            first = code;
        }

        for (var i = 0; i < names.Length; i++)
            named[names[i].Short] = named[names[i].Long] = CodeSet.Of(ranges[i]);
        foreach (var (one, whole) in ((string, string)[])
            [("l", "letter"), ("m", "mark"), ("n", "number"), ("z", "separator"), ("c", "other"), ("p", "punctuation"),
                ("s", "symbol")])
        {
            named[one] = named[whole] = names.Where(name => name.Short[0] == one[0])
                .Aggregate(CodeSet.Empty, (set, name) => set.Or(named[name.Short]));
        }

        named["punct"] = named["p"];
        named["lc"] = named["l&"] = named["casedletter"] = named["lu"].Or(named["ll"]).Or(named["lt"]);
    }

    private static int[][] FindCaseGroups()
    {
        var groups = new Dictionary<int, HashSet<int>>();
        foreach (var (first, last) in Named["l"].Or(Named["nl"]).Or(Named["so"]).Or(Named["m"]).Ranges())
        {
            for (var code = first; code <= last; code++)
            {
                var rune = new Rune(code);
                var folded = Rune.ToLowerInvariant(Rune.ToUpperInvariant(rune));
                if (folded == rune) continue;
                if (!groups.TryGetValue(folded.Value, out var group)) groups.Add(folded.Value, group = [folded.Value]);
                group.Add(code);
            }
        }

        return [.. groups.Values.Select(group => group.ToArray())];
    }
}
