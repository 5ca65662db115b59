using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Tokenization;

/// <summary>Reads tokenizer.json, the format of Hugging Face's tokenizers library, for byte-pair models.</summary>
public static class TokenizerLoader
{
    public const string FileName = "tokenizer.json";
    public const long FileBytesMax = 128L << 20;
    public const int TokensMax = 1 << 20;
    public const int MergesMax = 1 << 21;
    public const int TokenCharsMax = 4096;
    private const int DepthMax = 32;

    /// <summary>Loads <see cref="FileName"/> of a model's folder, and what <see cref="TokenizerSettings"/> adds to
    /// it.</summary>
    /// <exception cref="ModelFormatException">Missing, too large, malformed, or with a part that is not supported;
    /// the message names file and field.</exception>
    public static ITokenizer Load(string modelFolder)
    {
        var path = Path.Combine(modelFolder, FileName);
        try
        {
            var file = new FileInfo(path);
            if (!file.Exists) throw new ModelFormatException($"{path}: no such file; the model folder must have one.");
            if (file.Length > FileBytesMax)
            {
                throw new ModelFormatException(
                    $"{path}: {file.Length:N0} bytes; a tokenizer may have {FileBytesMax:N0} at most.");
            }

            var settings = Path.Combine(modelFolder, TokenizerSettings.FileName);
            return Parse(
                File.ReadAllBytes(path), path,
                File.Exists(settings) ? TokenizerSettings.Load(settings) : TokenizerSettings.None);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ModelFormatException($"{path}: cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Reads a file's content.</summary>
    /// <param name="name">What errors call the file.</param>
    /// <exception cref="ModelFormatException">As for <see cref="Load"/>.</exception>
    public static ITokenizer Parse(ReadOnlyMemory<byte> utf8, string name) => Parse(utf8, name, TokenizerSettings.None);

    internal static ITokenizer Parse(ReadOnlyMemory<byte> utf8, string name, TokenizerSettings settings) =>
        Read(utf8, name, root => new BpeTokenizer(settings.Complete(Parts(root))));

    /// <summary>Reads a JSON file of the tokenizer.</summary>
    /// <exception cref="ModelFormatException">As for <see cref="Load"/>.</exception>
    internal static T Read<T>(ReadOnlyMemory<byte> utf8, string name, Func<JsonField, T> read)
    {
        try
        {
            using var document = JsonTexts.Parse(utf8, new JsonDocumentOptions { MaxDepth = DepthMax });
            return read(new JsonField(document.RootElement, name, ""));
        }
        catch (JsonException error)
        {
            throw new ModelFormatException($"{name}: no valid JSON: {error.Message}", error);
        }
    }

    private static TokenizerParts Parts(JsonField root)
    {
        // Nothing is cut to a length or padded for a prompt; the format's version is 1.0 and nothing else.
        root.Knowing(
            "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
            "decoder", "model");
        if (root["version"].TextOr("1.0") != "1.0") throw root["version"].Bad("must be \"1.0\"");
        var model = Model(root["model"]);
        var added = AddedTokens(root["added_tokens"], model.Vocabulary);
        var (prefix, suffix) = TokenizerStages.PostProcessor(root["post_processor"]);
        return new TokenizerParts(
            added,
            TokenizerStages.Normalizer(root["normalizer"]),
            TokenizerStages.PreTokenizer(root["pre_tokenizer"]),
            model,
            TokenizerStages.Decoder(root["decoder"]),
            prefix,
            suffix);
    }

    private static BpeDefinition Model(JsonField model)
    {
        model.Knowing(
            "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
            "byte_fallback", "ignore_merges", "vocab", "merges");
        if (model["dropout"] is { IsPresent: true } dropout
            && !(dropout.Value.ValueKind == JsonValueKind.Number && dropout.Value.GetDouble() == 0))
        {
            throw dropout.Bad("leaves merges out by chance, so that a prompt's ids would vary; it must be null or 0");
        }

        if (model["type"].TextOr("BPE") != "BPE")
            throw model["type"].Bad("names a model that is not supported; byte-pair encoding (BPE) is");
        foreach (var name in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            if (model[name].TextOr("").Length > 0) throw model[name].Bad("is not supported unless empty");
        }

        var vocabulary = Vocabulary(model["vocab"]);
        var unknown = model["unk_token"];
        int? unknownId = null;
        if (unknown.TextOr("").Length > 0)
        {
            unknownId = vocabulary.TryGetValue(unknown.Text(), out var id)
                ? id
                : throw unknown.Bad("must be a token of model.vocab");
        }

        return new BpeDefinition(
            vocabulary,
            Merges(model["merges"], vocabulary),
            unknownId,
            model["fuse_unk"].FlagOr(false),
            model["byte_fallback"].FlagOr(false),
            model["ignore_merges"].FlagOr(false));
    }

    private static Dictionary<string, int> Vocabulary(JsonField vocab)
    {
        if (vocab.Value.ValueKind != JsonValueKind.Object) throw vocab.Bad("must be an object of token to id");
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in vocab.Value.EnumerateObject())
        {
            if (vocabulary.Count == TokensMax) throw vocab.Bad($"has more than {TokensMax:N0} tokens");
            CheckLength(vocab, entry.Name);
            var id = new JsonField(entry.Value, vocab.File, $"model.vocab[\"{entry.Name}\"]");
            vocabulary[entry.Name] = id.Integer(0, TokensMax - 1);
        }

        return vocabulary;
    }

    /// <summary>Merges are "left right" in older files and [left, right] in newer ones, which can hold
    /// spaces.</summary>
    private static List<(int, int, int)> Merges(JsonField merges, Dictionary<string, int> vocabulary)
    {
        var pairs = new List<(int, int, int)>();
        foreach (var merge in merges.Items())
        {
            if (pairs.Count == MergesMax) throw merges.Bad($"has more than {MergesMax:N0} entries");
            var (left, right) = merge.Value.ValueKind switch
            {
                JsonValueKind.String when merge.Text().Split(' ') is [var l, var r] => (l, r),
                JsonValueKind.Array when merge.Items().ToArray() is [var l, var r] => (l.Text(), r.Text()),
                _ => throw merge.Bad("must be \"left right\" or [\"left\", \"right\"]"),
            };
            pairs.Add((IdOf(left), IdOf(right), IdOf(left + right)));

            int IdOf(string token) => vocabulary.TryGetValue(token, out var id)
                ? id
                : throw merge.Bad($"needs the token \"{token}\", which model.vocab lacks");
        }

        return pairs;
    }

    /// <summary>A token of the vocabulary keeps the id that it has there, and one that is listed again the id that it
    /// has: the last entry says how it is found.</summary>
    private static List<AddedToken> AddedTokens(JsonField list, IReadOnlyDictionary<string, int> vocabulary)
    {
        var tokens = new List<AddedToken>();
        if (!list.IsPresent) return tokens;
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in list.Items())
        {
            if (tokens.Count == TokensMax) throw list.Bad($"has more than {TokensMax:N0} tokens");
            var token = AddedTokenOf(entry, entry["content"], entry["id"].Integer(0, TokensMax - 1));
            if (vocabulary.TryGetValue(token.Content, out var known)) token = token with { Id = known };
            if (places.TryAdd(token.Content, tokens.Count)) tokens.Add(token);
            else tokens[places[token.Content]] = token with { Id = tokens[places[token.Content]].Id };
        }

        return tokens;
    }

    internal static AddedToken AddedTokenOf(JsonField entry, JsonField content, int id)
    {
        entry.Knowing(
            "__type", "id", "content", "special", "normalized", "single_word", "lstrip", "rstrip");
        CheckLength(content, content.Text());
        var isSpecial = entry["special"].FlagOr(false);
        return new AddedToken(
            id,
            content.Text(),
            isSpecial,
            entry["normalized"].FlagOr(!isSpecial),
            entry["single_word"].FlagOr(false),
            entry["lstrip"].FlagOr(false),
            entry["rstrip"].FlagOr(false));
    }

    private static void CheckLength(JsonField field, string token)
    {
        if (token.Length > TokenCharsMax)
            throw field.Bad($"has a token of {token.Length:N0} characters; {TokenCharsMax:N0} is the most");
    }
}
