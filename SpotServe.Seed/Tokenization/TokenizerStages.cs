using System.Text.RegularExpressions;
using SpotServe.Actors.Execution;

namespace SpotServe.Seed.Tokenization;

/// <summary>
/// The stages around the model, by their "type" in tokenizer.json. A type or setting that is not built here is an
/// error at load: a tokenizer that is nearly right would give a model nearly the right ids.
/// </summary>
internal static class TokenizerStages
{
    private const int PartsMax = 64;

    public static INormalizer? Normalizer(JsonField stage)
    {
        if (!stage.IsPresent) return null;
        return stage["type"].Text() switch
        {
            "NFC" => new NfcNormalizer(),
            "Prepend" => new PrependNormalizer(stage["prepend"].Text()),
            "Replace" => Replace(stage),
            "Sequence" => new NormalizerSequence([.. Parts(stage["normalizers"]).Select(p => Normalizer(p)!)]),
            _ => throw Unsupported(stage, "NFC, Prepend, Replace, Sequence"),
        };

        static INormalizer Replace(JsonField stage) => stage["pattern"]["String"] is { IsPresent: true } literal
            ? new ReplaceNormalizer(NotEmpty(literal), stage["content"].Text())
            : new ReplacePatternNormalizer(
                Compile(
                    stage["pattern"]["Regex"],
                    p => new Regex(p, RegexOptions.CultureInvariant, RunePattern.MatchTimeout)),
                stage["content"].Text());
    }

    public static IPreTokenizer? PreTokenizer(JsonField stage)
    {
        if (!stage.IsPresent) return null;
        switch (stage["type"].Text())
        {
            case "ByteLevel":
                var pattern = stage["use_regex"].FlagOr(true)
                    ? new RunePattern(ByteLevelPreTokenizer.WordPattern)
                    : null;
                return new ByteLevelPreTokenizer(stage["add_prefix_space"].FlagOr(true), pattern);
            case "Split":
                return Split(stage);
            case "Metaspace":
                var scheme = stage["prepend_scheme"].TextOr(
                    stage["add_prefix_space"].FlagOr(true) ? "always" : "never");
                if (scheme is not ("always" or "never"))
                    throw stage["prepend_scheme"].Bad("must be \"always\" or \"never\"");
                return new MetaspacePreTokenizer(Mark(stage), scheme == "always", stage["split"].FlagOr(true));
            case "Digits":
                return new PatternSplit(
                    new RunePattern(stage["individual_digits"].FlagOr(false) ? @"\p{N}" : @"\p{N}+"),
                    SplitKeeps.MatchesAndGaps);
            case "Sequence":
                return new PreTokenizerSequence([.. Parts(stage["pretokenizers"]).Select(p => PreTokenizer(p)!)]);
            default:
                throw Unsupported(stage, "ByteLevel, Split, Metaspace, Digits, Sequence");
        }
    }

    /// <summary>The ids that a prompt gets before and after it.</summary>
    public static (IReadOnlyList<int> Prefix, IReadOnlyList<int> Suffix) PostProcessor(JsonField stage)
    {
        if (!stage.IsPresent) return ([], []);
        switch (stage["type"].Text())
        {
            case "ByteLevel":
                return ([], []);
            case "TemplateProcessing":
                return Template(stage);
            case "Sequence":
                List<int> prefix = [], suffix = [];
                foreach (var part in Parts(stage["processors"]))
                {
                    var (before, after) = PostProcessor(part);
                    prefix.InsertRange(0, before);
                    suffix.AddRange(after);
                }

                return (prefix, suffix);
            default:
                throw Unsupported(stage, "ByteLevel, TemplateProcessing, Sequence");
        }
    }

    public static DecoderDefinition Decoder(JsonField stage)
    {
        var plain = new DecoderDefinition(false, [], false, ' ', 0, null);
        return stage["type"].Text() == "Sequence"
            ? Parts(stage["decoders"]).Aggregate(plain, Add)
            : Add(plain, stage);

        static DecoderDefinition Add(DecoderDefinition so, JsonField part)
        {
            switch (part["type"].Text())
            {
                case "ByteLevel":
                    return so with { ByteLevel = true };
                case "ByteFallback":
                    return so with { ByteFallback = true };
                case "Fuse":
                    return so;
                case "Metaspace":
                    var scheme = part["prepend_scheme"].TextOr(
                        part["add_prefix_space"].FlagOr(true) ? "always" : "never");
                    return scheme == "never"
                        ? so with { Replacements = [.. so.Replacements, (Mark(part).ToString(), " ")] }
                        : so with { Mark = Mark(part) };
                case "Replace":
                    var replacement = (NotEmpty(part["pattern"]["String"]), part["content"].Text());
                    return so with { Replacements = [.. so.Replacements, replacement] };
                case "Strip":
                    if (part["stop"].Integer(0, int.MaxValue) > 0) throw part["stop"].Bad("is not supported unless 0");
                    if (part["content"].Text() is not [var strip]) throw part["content"].Bad("must be one character");
                    return so with { StripFirst = strip, StripCount = part["start"].Integer(0, 1024) };
                default:
                    throw Unsupported(part, "ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip, Sequence");
            }
        }
    }

    private static PatternSplit Split(JsonField stage)
    {
        var pattern = stage["pattern"]["String"] is { IsPresent: true } literal
            ? new RunePattern(Regex.Escape(NotEmpty(literal)))
            : Compile(stage["pattern"]["Regex"], p => new RunePattern(p));
        var keeps = (stage["behavior"].Text(), stage["invert"].FlagOr(false)) switch
        {
            ("Isolated", _) => SplitKeeps.MatchesAndGaps,
            ("Removed", true) => SplitKeeps.Matches,
            ("Removed", false) => SplitKeeps.Gaps,
            _ => throw stage["behavior"].Bad("must be \"Isolated\" or \"Removed\""),
        };
        return new PatternSplit(pattern, keeps);
    }

    private static (List<int> Prefix, List<int> Suffix) Template(JsonField stage)
    {
        List<int> prefix = [], suffix = [];
        var seen = 0;
        foreach (var part in Parts(stage["single"]))
        {
            if (part["Sequence"].IsPresent)
            {
                seen++;
                continue;
            }

            var token = stage["special_tokens"][part["SpecialToken"]["id"].Text()];
            (seen == 0 ? prefix : suffix).AddRange(
                Parts(token["ids"]).Select(id => id.Integer(0, TokenizerLoader.TokensMax - 1)));
        }

        return seen == 1 ? (prefix, suffix) : throw stage["single"].Bad("must hold the text exactly once");
    }

    private static JsonField[] Parts(JsonField list)
    {
        var parts = list.Items().Take(PartsMax + 1).ToArray();
        return parts.Length <= PartsMax ? parts : throw list.Bad($"has more than {PartsMax} entries");
    }

    private static T Compile<T>(JsonField pattern, Func<string, T> compile)
    {
        try
        {
            return compile(pattern.Text());
        }
        catch (ArgumentException error)
        {
            throw pattern.Bad($"is a regular expression that .NET does not understand ({error.Message})");
        }
    }

    private static string NotEmpty(JsonField text) =>
        text.Text() is { Length: > 0 } value ? value : throw text.Bad("must not be empty");

    private static char Mark(JsonField stage) =>
        stage["replacement"].Text() is [var mark] ? mark : throw stage["replacement"].Bad("must be one character");

    private static ModelFormatException Unsupported(JsonField stage, string supported) =>
        stage["type"].Bad($"is not supported here; supported are {supported}");
}
