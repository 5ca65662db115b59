using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Tokenization;

/// <summary>
/// The stages around the model, by their "type" in tokenizer.json. A type or setting that is not built here is an
/// error at load: a tokenizer that is nearly right would give a model nearly the right ids.
/// </summary>
internal static class TokenizerStages
{
    private const int PartsMax = 64;
    private const string PunctuationPattern = @"[!-/:-@\[-`{-~\p{P}]";

    public static INormalizer? Normalizer(JsonField stage)
    {
        if (!stage.IsPresent) return null;
        switch (stage["type"].Text())
        {
            case "NFC" or "NFD" or "NFKC" or "NFKD":
                var form = stage.Knowing("type")["type"].Text();
                return new UnicodeNormalizer(form[2] == 'K', form[^1] == 'C');
            case "Lowercase":
                stage.Knowing("type");
                return new LowercaseNormalizer();
            case "Strip":
                stage.Knowing("type", "strip_left", "strip_right");
                return new StripNormalizer(stage["strip_left"].FlagOr(true), stage["strip_right"].FlagOr(true));
            case "StripAccents":
                stage.Knowing("type");
                return new StripAccentsNormalizer();
            case "ByteLevel":
                stage.Knowing("type");
                return new ByteLevelNormalizer();
            case "Prepend":
                return new PrependNormalizer(stage.Knowing("type", "prepend")["prepend"].Text());
            case "Replace":
                return Replace(stage.Knowing("type", "pattern", "content"));
            case "Sequence":
                return new NormalizerSequence(
                    [
                        .. Parts(stage.Knowing("type", "normalizers")["normalizers"]).Select(
                            part => Normalizer(part) ?? throw part.Bad("must be an object")),
                    ]);
            default:
                throw Unsupported(
                    stage,
                    "NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, ByteLevel, Prepend, Replace, Sequence");
        }

        static INormalizer Replace(JsonField stage) => stage["pattern"]["String"] is { IsPresent: true } literal
            ? new ReplaceNormalizer(NotEmpty(literal), stage["content"].Text())
            : new ReplacePatternNormalizer(Compile(stage["pattern"]["Regex"]), stage["content"].Text());
    }

    public static IPreTokenizer? PreTokenizer(JsonField stage)
    {
        if (!stage.IsPresent) return null;
        switch (stage["type"].Text())
        {
            case "ByteLevel":
                stage.Knowing("type", "add_prefix_space", "trim_offsets", "use_regex");
                var pattern = stage["use_regex"].FlagOr(true)
                    ? new RunePattern(ByteLevelPreTokenizer.WordPattern)
                    : null;
                return new ByteLevelPreTokenizer(stage["add_prefix_space"].FlagOr(true), pattern);
            case "Split":
                return Split(stage.Knowing("type", "pattern", "behavior", "invert"));
            case "Metaspace":
                return new MetaspacePreTokenizer(Mark(stage), Scheme(stage), stage["split"].FlagOr(true));
            case "Digits":
                stage.Knowing("type", "individual_digits");
                return new PatternSplit(
                    new RunePattern(stage["individual_digits"].FlagOr(false) ? @"\p{N}" : @"\p{N}+"),
                    SplitBehavior.Isolated);
            case "Whitespace":
                stage.Knowing("type");
                return new PatternSplit(new RunePattern(@"\w+|[^\w\s]+"), SplitBehavior.Removed, isInverted: true);
            case "WhitespaceSplit":
                stage.Knowing("type");
                return new PatternSplit(new RunePattern(@"\s"), SplitBehavior.Removed);
            case "Punctuation":
                return new PatternSplit(
                    new RunePattern(PunctuationPattern), Behavior(stage.Knowing("type", "behavior")));
            case "BertPreTokenizer":
                stage.Knowing("type");
                return new PreTokenizerSequence([
                    new PatternSplit(new RunePattern(@"\s"), SplitBehavior.Removed),
                    new PatternSplit(new RunePattern(PunctuationPattern), SplitBehavior.Isolated)]);
            case "CharDelimiterSplit":
                var delimiter = stage.Knowing("type", "delimiter")["delimiter"];
                return new PatternSplit(RunePattern.Literal(NotEmpty(delimiter)), SplitBehavior.Removed);
            case "Sequence":
                stage.Knowing("type", "pretokenizers");
                return new PreTokenizerSequence(
                [
                    .. Parts(stage["pretokenizers"]).Select(
                        part => PreTokenizer(part) ?? throw part.Bad("must be an object")),
                ]);
            default:
                throw Unsupported(
                    stage,
                    "ByteLevel, Split, Metaspace, Digits, Whitespace, WhitespaceSplit, Punctuation, BertPreTokenizer, "
                    + "CharDelimiterSplit, Sequence");
        }
    }

    /// <summary>The ids that a prompt gets before and after it.</summary>
    public static (IReadOnlyList<int> Prefix, IReadOnlyList<int> Suffix) PostProcessor(JsonField stage)
    {
        if (!stage.IsPresent) return ([], []);
        switch (stage["type"].Text())
        {
            case "ByteLevel":
                stage.Knowing("type", "add_prefix_space", "trim_offsets", "use_regex");
                return ([], []);
            case "TemplateProcessing":
                // The template for two texts is for other tasks.
                return Template(stage.Knowing("type", "single", "pair", "special_tokens"));
            case "RobertaProcessing" or "BertProcessing":
                stage.Knowing("type", "sep", "cls", "trim_offsets", "add_prefix_space");
                return ([Second(stage["cls"])], [Second(stage["sep"])]);
            case "Sequence":
                stage.Knowing("type", "processors");
                List<int> prefix = [], suffix = [];
                foreach (var part in Parts(stage["processors"]))
                {
                    var (before, after) = PostProcessor(part);
                    prefix.InsertRange(0, before);
                    suffix.AddRange(after);
                }

                return (prefix, suffix);
            default:
                throw Unsupported(
                    stage, "ByteLevel, TemplateProcessing, RobertaProcessing, BertProcessing, Sequence");
        }

        static int Second(JsonField pair) => pair.Items().ToArray() is [_, var id]
            ? id.Integer(0, TokenizerLoader.TokensMax - 1)
            : throw pair.Bad("must be a token and its id");
    }

    /// <summary>Without a decoder, tokens are text with spaces between.</summary>
    public static DecoderDefinition Decoder(JsonField stage)
    {
        if (!stage.IsPresent) return DecoderDefinition.Plain with { Separator = " " };
        return stage["type"].Text() == "Sequence"
            ? Parts(stage.Knowing("type", "decoders")["decoders"]).Aggregate(DecoderDefinition.Plain, Add)
            : Add(DecoderDefinition.Plain, stage);

        static DecoderDefinition Add(DecoderDefinition so, JsonField part)
        {
            switch (part["type"].Text())
            {
                case "ByteLevel":
                    part.Knowing("type", "add_prefix_space", "trim_offsets", "use_regex");
                    return so with { ByteLevel = true };
                case "ByteFallback":
                    part.Knowing("type");
                    return so with { ByteFallback = true };
                case "Fuse":
                    part.Knowing("type");
                    return so;
                case "Metaspace":
                    return Scheme(part) == PrependScheme.Never
                        ? so with { Replacements = [.. so.Replacements, (Mark(part).ToString(), " ")] }
                        : so with { Mark = Mark(part) };
                case "Replace":
                    part.Knowing("type", "pattern", "content");
                    var replacement = (NotEmpty(part["pattern"]["String"]), part["content"].Text());
                    return so with { Replacements = [.. so.Replacements, replacement] };
                case "Strip":
                    part.Knowing("type", "content", "start", "stop");
                    if (part["stop"].Integer(0, int.MaxValue) > 0) throw part["stop"].Bad("is not supported unless 0");
                    if (part["content"].Text() is not [var strip]) throw part["content"].Bad("must be one character");
                    return so with { StripFirst = strip, StripCount = part["start"].Integer(0, 1024) };
                default:
                    throw Unsupported(part, "ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip, Sequence");
            }
        }
    }

    private static PatternSplit Split(JsonField stage) => new(
        stage["pattern"]["String"] is { IsPresent: true } literal
            ? RunePattern.Literal(NotEmpty(literal))
            : Compile(stage["pattern"]["Regex"]),
        Behavior(stage),
        stage["invert"].FlagOr(false));

    private static SplitBehavior Behavior(JsonField stage) => stage["behavior"].TextOr("Isolated") switch
    {
        "Removed" => SplitBehavior.Removed,
        "Isolated" => SplitBehavior.Isolated,
        "Contiguous" => SplitBehavior.Contiguous,
        "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
        "MergedWithNext" => SplitBehavior.MergedWithNext,
        _ => throw stage["behavior"].Bad(
            "must be \"Removed\", \"Isolated\", \"Contiguous\", \"MergedWithPrevious\" or \"MergedWithNext\""),
    };

    private static PrependScheme Scheme(JsonField metaspace)
    {
        metaspace.Knowing("type", "replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split");
        var scheme = metaspace["prepend_scheme"];
        return scheme.TextOr(metaspace["add_prefix_space"].FlagOr(true) ? "always" : "never") switch
        {
            "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            _ => throw scheme.Bad("must be \"always\", \"first\" or \"never\""),
        };
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

    private static RunePattern Compile(JsonField pattern)
    {
        try
        {
            return new RunePattern(pattern.Text());
        }
        catch (ArgumentException error)
        {
            throw pattern.Bad($"is a regular expression that cannot be used ({error.Message})");
        }
    }

    private static string NotEmpty(JsonField text) =>
        text.Text() is { Length: > 0 } value ? value : throw text.Bad("must not be empty");

    private static char Mark(JsonField stage) =>
        stage["replacement"].Text() is [var mark] ? mark : throw stage["replacement"].Bad("must be one character");

    private static ModelFormatException Unsupported(JsonField stage, string supported) =>
        stage["type"].Bad($"is not supported here; supported are {supported}");
}
