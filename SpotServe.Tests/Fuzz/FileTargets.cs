using System.Text;
using SpotServe.Actors.ModelFolder;
using SpotServe.Node.Engine.Families;
using SpotServe.Node.Weights;
using SpotServe.Seed.Templating;
using SpotServe.Seed.Tokenization;
using SpotServe.Tests.Golden;
using SpotServe.Tests.Tokenization;

namespace SpotServe.Tests.Fuzz;

/// <summary>config.json and generation_config.json: a model, or a line that names the file.</summary>
internal sealed class ConfigTarget : FuzzTarget
{
    private static readonly byte[] Generation =
        Bytes("""{"eos_token_id":[2,3],"temperature":0.6,"top_p":0.9,"top_k":20,"repetition_penalty":1.05}""");

    private readonly byte[][] _models =
    [
        .. Directory.GetFiles(Checkout.Of("SpotServe.Tests", "Golden", "models"), "config.json",
            SearchOption.AllDirectories).Order().Select(File.ReadAllBytes),
    ];

    public override IReadOnlyList<byte[]> Corpus => [.. _models, Generation];

    public override IReadOnlyList<string> Words { get; } =
    [
        "rope_scaling", "rope_parameters", "rope_type", "type", "factor", "yarn", "longrope", "llama3", "linear",
        "dynamic", "layer_types", "sliding_attention", "full_attention", "sliding_window", "head_dim", "hidden_act",
        "gelu_new", "num_key_value_heads", "model_type", "gemma2", "phi3", "olmo2", "granite", "gpt2", "opt",
        "long_factor", "short_factor", "original_max_position_embeddings", "eos_token_id", "do_sample",
        "temperature", "\"", "{", "]",
    ];

    public override Task TakeAsync(byte[] input, Random random)
    {
        var isGeneration = random.Next(8) == 0;
        var name = isGeneration ? "generation_config.json" : "config.json";
        try
        {
            var config = isGeneration
                ? ModelConfig.Parse(
                    new ConfigFile("config.json", _models[0]), new ConfigFile(name, input), ModelFamily.RulesOf)
                : ModelConfig.Parse(new ConfigFile(name, input), null, ModelFamily.RulesOf);
            ModelFamily.For(config).Tensors(config);
        }
        catch (ModelFormatException error)
        {
            CheckComplaint(error, "config.json");
        }

        return Task.CompletedTask;
    }
}

/// <summary>tokenizer.json and tokenizer_config.json: a tokenizer that encodes any text into ids of its own and decodes
/// them, or a line that names the file.</summary>
internal sealed class TokenizerTarget : FuzzTarget
{
    private const string Text = "Hello World's  12345!!\n\té😀 <s> 中文";

    private static readonly byte[] Good = Bytes(TokenizerJson.Bytes());

    private static readonly byte[] Settings = Bytes(
        """
        {"bos_token":"a","eos_token":{"content":"b","lstrip":true,"special":true},"add_bos_token":true,
        "add_prefix_space":false,"added_tokens_decoder":{"97":{"content":"a","special":true}}}
        """);

    public override IReadOnlyList<byte[]> Corpus { get; } =
    [
        Good,
        Bytes(TokenizerJson.Bytes(
            """{"type":"Split","pattern":{"Regex":"\\p{N}{1,3}|\\s+(?!\\S)"},"behavior":"Isolated","invert":false}""",
            """
            {"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Replace","pattern":{"String":" "},"content":"_"}]}
            """)),
        Bytes(TokenizerJson.Bytes(
            """{"type":"Digits","individual_digits":true},{"type":"Punctuation","behavior":"Removed"}""",
            """{"type":"Prepend","prepend":"▁"}""")),
        Bytes(
            """
            {"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":4,"content":"<s>",
            "single_word":false,"lstrip":false,"rstrip":true,"normalized":false,"special":true}],"normalizer":null,
            "pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true},
            "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},
            {"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[4],
            "tokens":["<s>"]}}},"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},
            "content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
            "model":{"type":"BPE","unk_token":"l","fuse_unk":true,"byte_fallback":false,"ignore_merges":true,
            "vocab":{"H":0,"e":1,"l":2,"He":3,"ll":5},"merges":["H e",["l","l"]]}}
            """),
        Settings,
    ];

    public override IReadOnlyList<string> Words { get; } =
    [
        "ByteLevel", "Metaspace", "Split", "Sequence", "Whitespace", "BertPreTokenizer", "NFKC", "Lowercase", "Strip",
        "Replace", "Regex", "String", "pattern", "behavior", "MergedWithPrevious", "Contiguous", "invert", "(?:",
        "{1,9}", "\\p{L}", "+", "|", "merges", "vocab", "id", "content", "special", "unk_token",
        "byte_fallback", "dropout",
        "continuing_subword_prefix", "<0x41>", "\"", "[", "}",
    ];

    public override Task TakeAsync(byte[] input, Random random)
    {
        var isSettings = random.Next(6) == 0;
        var name = isSettings ? "tokenizer_config.json" : "tokenizer.json";
        try
        {
            var tokenizer = isSettings
                ? TokenizerLoader.Parse(Good, "tokenizer.json", TokenizerSettings.Parse(input, name))
                : TokenizerLoader.Parse(input, name);
            foreach (var adds in new[] { true, false }) Check(tokenizer, tokenizer.Encode(Text, adds));
        }
        catch (ModelFormatException error)
        {
            CheckComplaint(error, "tokenizer");
        }
        catch (TextTooComplexException)
        {
            // A pattern may be too slow for a text; the client is told so.
        }

        return Task.CompletedTask;
    }

    private static void Check(ITokenizer tokenizer, IReadOnlyList<int> ids)
    {
        if (ids.FirstOrDefault(id => (uint)id >= (uint)tokenizer.VocabularySize, -1) is var strange and not -1)
            throw new FuzzException($"{strange} is none of {tokenizer.VocabularySize} tokens");
        tokenizer.Decode([.. ids], skipSpecialTokens: false);
    }
}

/// <summary>Chat templates: a prompt, or a refusal that names a line of the template.</summary>
internal sealed class TemplateTarget : FuzzTarget
{
    private static readonly DateTimeOffset Now = new(2026, 11, 27, 0, 0, 0, TimeSpan.Zero);

    public override IReadOnlyList<byte[]> Corpus { get; } =
    [
        .. Directory.GetFiles(Checkout.Of("SpotServe.Tests", "Templating", "templates")).Order()
            .Select(File.ReadAllBytes),
    ];

    public override IReadOnlyList<string> Words { get; } =
    [
        "{{", "}}", "{%", "%}", "{#", "#}", "-%}", "{%-", "if", "elif", "else", "endif", "for", "in", "endfor", "set",
        "endset", "macro", "endmacro", "namespace(", "range(", "loop.index", "messages", "message", "['role']",
        ".content", "| tojson", "| trim", "| join(", "| length", "is defined", "is string", "not", "and", "~",
        "*", "**", "%", "//",
        "[::-1]", ".split(", "raise_exception(", "strftime_now(", "9999999999", "'a' * 9999999", "\\", "'", "\"", "\n",
    ];

    public override Task TakeAsync(byte[] input, Random random)
    {
        var source = Encoding.UTF8.GetString(input);
        try
        {
            ChatTemplate.Of(source, new Dictionary<string, Value> { ["bos_token"] = Value.Of("<s>") })
                .Render(Messages(), random.Next(2) == 0, [], Now);
        }
        catch (TemplateException error)
        {
            CheckComplaint(error, "line ");
            if (error.Line < 1 || error.Line > source.Count(c => c == '\n') + 1)
                throw new FuzzException($"the template has no line {error.Line}", error);
        }
        catch (TemplateRefusalException)
        {
            // The template's own word.
        }

        return Task.CompletedTask;
    }

    private static ListValue Messages() => new(
    [
        .. new[] { ("system", "Be brief."), ("user", "Hi \"you\" é😀\n"), ("assistant", "<think>a</think>Hello"),
            ("user", "") }.Select(one => new MapValue(new OrderedDictionary<Value, Value>
            {
                [Value.Of("role")] = Value.Of(one.Item1),
                [Value.Of("content")] = Value.Of(one.Item2),
            })),
    ]);
}
