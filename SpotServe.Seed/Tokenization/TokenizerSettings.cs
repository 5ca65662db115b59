using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Tokenization;

/// <summary>
/// What tokenizer_config.json changes of tokenizer.json, as transformers 5 applies it: with add_bos_token or
/// add_eos_token the tokens around a prompt are these two and no others, and the tokens that it names are special ones.
/// </summary>
internal sealed class TokenizerSettings
{
    public const string FileName = "tokenizer_config.json";
    private const int FileBytesMax = 16 << 20;

    /// <summary>
    /// Keys that change no prompt's ids and no completion's text here, whatever they say: those of chats, of batches
    /// (padding, truncation), of other implementations and of training, and names of files.
    /// clean_up_tokenization_spaces is among them because what it takes away was generated: a text that reads on from
    /// its prompt keeps its spaces, as with other servers.
    /// </summary>
    private static readonly string[] Harmless =
    [
        "tokenizer_class", "processor_class", "auto_map", "backend", "name_or_path", "tokenizer_file", "vocab_file",
        "merges_file", "special_tokens_map_file", "_commit_hash", "transformers_version", "chat_template",
        "default_chat_template", "response_schema", "use_default_system_prompt", "tool_parser_type",
        "model_max_length", "max_length", "max_len", "model_input_names", "padding_side", "pad_to_multiple_of",
        "padding", "truncation", "truncation_side", "truncation_strategy", "stride", "pad_token_type_id",
        "pad_token_id", "pad_id", "bos_token_id", "eos_token_id", "unk_token_id", "unk_id", "vocab_size",
        "clean_up_tokenization_spaces", "spaces_between_special_tokens", "errors", "trim_offsets", "legacy",
        "from_slow", "is_local", "local_files_only", "sp_model_kwargs", "return_token_type_ids",
        "trust_remote_code", "add_special_tokens", "device_map", "device", "use_fast", "revision", "cache_dir",
        "use_auth_token", "model_specific_special_tokens", "prefix_token_id",
    ];

    private readonly List<Setting> _tokens = [];
    private bool _setsEnds;
    private bool _addsBegin;
    private bool _addsEnd;
    private bool? _addsPrefixSpace;
    private string? _begin;
    private string? _end;

    private TokenizerSettings()
    {
    }

    /// <summary>A token that is to be found in texts.</summary>
    /// <param name="Id">Null: the one that its text has.</param>
    /// <param name="IsBare">Named by its text only: what else is known of the token stays, but that it is
    /// special.</param>
    private sealed record Setting(AddedToken Token, int? Id, bool IsBare);

    /// <summary>Changes nothing.</summary>
    public static TokenizerSettings None { get; } = new();

    /// <exception cref="ModelFormatException">Malformed, or a key that is not known or cannot be applied; the message
    /// names file and key.</exception>
    public static TokenizerSettings Load(string path)
    {
        var file = new FileInfo(path);
        return file.Length <= FileBytesMax
            ? Parse(File.ReadAllBytes(path), path)
            : throw new ModelFormatException($"{path}: {file.Length:N0} bytes; {FileBytesMax:N0} is the most.");
    }

    /// <exception cref="ModelFormatException">As for <see cref="Load"/>.</exception>
    public static TokenizerSettings Parse(ReadOnlyMemory<byte> utf8, string name) =>
        TokenizerLoader.Read(utf8, name, Of);

    /// <summary>The tokenizer with these settings.</summary>
    /// <exception cref="ModelFormatException">The two files contradict each other.</exception>
    public TokenizerParts Complete(TokenizerParts parts)
    {
        if (_addsPrefixSpace is { } adds && parts.PreTokenizer?.AddsPrefixSpace is { } does && adds != does)
        {
            throw new ModelFormatException(
                $"{FileName}: add_prefix_space is {Word(adds)}, but the pre_tokenizer of {TokenizerLoader.FileName} "
                + $"says {Word(does)}. Make the two equal.");
        }

        parts = parts with { AddedTokens = AddTo(parts.AddedTokens, parts.Model.Vocabulary) };
        return _setsEnds ? parts with { Prefix = Ids(_addsBegin, _begin), Suffix = Ids(_addsEnd, _end) } : parts;

        int[] Ids(bool isAdded, string? token) =>
            isAdded && token is { Length: > 0 } ? [parts.AddedTokens.First(known => known.Content == token).Id] : [];

        static string Word(bool flag) => flag ? "true" : "false";
    }

    private List<AddedToken> AddTo(IReadOnlyList<AddedToken> listed, IReadOnlyDictionary<string, int> vocabulary)
    {
        var added = new List<AddedToken>(listed);
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var i = 0; i < added.Count; i++) places[added[i].Content] = i;
        var next = vocabulary.Values.Concat(added.Select(token => token.Id)).DefaultIfEmpty(-1).Max() + 1;
        foreach (var (token, id, isBare) in _tokens)
        {
            if (token.Content.Length == 0) continue;
            if (places.TryGetValue(token.Content, out var at))
            {
                added[at] = isBare
                    ? added[at] with { Special = true }
                    : token with { Id = added[at].Id, Special = token.Special || added[at].Special };
                continue;
            }

            var given = vocabulary.TryGetValue(token.Content, out var known) ? known : id ?? next;
            next = Math.Max(next, given + 1);
            places.Add(token.Content, added.Count);
            added.Add(token with { Id = given });
        }

        return added;
    }

    private static TokenizerSettings Of(JsonField root)
    {
        // A model may name special tokens of its own: "image_token" and the like.
        var named = root.Names().Where(name => name.EndsWith("_token", StringComparison.Ordinal)
            && root[name].Value.ValueKind is JsonValueKind.String or JsonValueKind.Object).ToArray();
        root.Knowing([
            .. Harmless, .. named, "add_bos_token", "add_eos_token", "add_prefix_space", "added_tokens_decoder",
            "additional_special_tokens", "extra_special_tokens", "split_special_tokens", "do_lower_case"]);
        foreach (var flag in (string[])["split_special_tokens", "do_lower_case"])
        {
            if (root[flag].FlagOr(false)) throw root[flag].Bad("is not supported unless false");
        }

        var settings = new TokenizerSettings
        {
            _setsEnds = root["add_bos_token"].IsPresent || root["add_eos_token"].IsPresent,
            _addsBegin = root["add_bos_token"].FlagOr(false),
            _addsEnd = root["add_eos_token"].FlagOr(false),
            _addsPrefixSpace = root["add_prefix_space"].IsPresent ? root["add_prefix_space"].FlagOr(false) : null,
        };
        settings.AddDecoder(root["added_tokens_decoder"]);
        foreach (var name in named)
        {
            var content = settings.AddSpecial(root[name]);
            if (name == "bos_token") settings._begin = content;
            else if (name == "eos_token") settings._end = content;
        }

        foreach (var list in (string[])["additional_special_tokens", "extra_special_tokens"])
        {
            foreach (var token in Listed(root[list])) settings.AddSpecial(token);
        }

        return settings;
    }

    /// <summary>A list of tokens, or an object of name to token.</summary>
    private static IEnumerable<JsonField> Listed(JsonField field) => field switch
    {
        { IsPresent: false } => [],
        { Value.ValueKind: JsonValueKind.Object } =>
            field.Value.EnumerateObject().Select(member => field[member.Name]).ToArray(),
        _ => field.Items(),
    };

    private void AddDecoder(JsonField decoder)
    {
        if (!decoder.IsPresent) return;
        if (decoder.Value.ValueKind != JsonValueKind.Object) throw decoder.Bad("must be an object of id to token");
        foreach (var member in decoder.Value.EnumerateObject())
        {
            var entry = decoder[member.Name];
            if (_tokens.Count == TokenizerLoader.TokensMax) throw decoder.Bad("has too many tokens");
            var isId = int.TryParse(
                member.Name, System.Globalization.NumberStyles.None,
                System.Globalization.CultureInfo.InvariantCulture, out var id) && id < TokenizerLoader.TokensMax;
            if (!isId) throw entry.Bad("must have a token id for its name");
            _tokens.Add(new Setting(TokenizerLoader.AddedTokenOf(entry, entry["content"], id), id, IsBare: false));
        }
    }

    /// <summary>A token given as its text, or with all that there is to say.</summary>
    private string? AddSpecial(JsonField token)
    {
        if (!token.IsPresent) return null;
        if (token.Value.ValueKind == JsonValueKind.Object)
        {
            var whole = TokenizerLoader.AddedTokenOf(token, token["content"], id: 0) with { Special = true };
            _tokens.Add(new Setting(whole, Id: null, IsBare: false));
            return whole.Content;
        }

        var bare = new AddedToken(
            Id: 0, token.Text(), Special: true, Normalized: false, SingleWord: false, StripLeft: false,
            StripRight: false);
        _tokens.Add(new Setting(bare, Id: null, IsBare: true));
        return bare.Content;
    }
}
