using System.Text;
using CsCheck;
using SpotServe.Actors.ModelFolder;
using SpotServe.Node.Engine.Families;
using SpotServe.Node.Weights;
using Xunit;

namespace SpotServe.Tests.Weights;

public sealed class ModelConfigTests
{
    private const string Basics = """
        "model_type":"llama","hidden_size":64,"num_attention_heads":8,"num_hidden_layers":4,"vocab_size":320,
        "intermediate_size":160,"max_position_embeddings":512
        """;

    [Fact]
    public void Defaults_are_those_of_the_reference()
    {
        var config = Parse("{" + Basics + "}");

        Assert.Equal((8, 8, 8), (config.Heads, config.KvHeads, config.HeadSize));
        Assert.False(config.TiedEmbeddings);
        Assert.Equal(10_000, config.RopeTheta);
        Assert.Equal(RopeScaling.None, config.Rope);
        Assert.Null(config.SlidingWindow);
        Assert.Empty(config.EndTokens);
    }

    [Fact]
    public void Rope_is_read_from_the_old_and_the_new_place()
    {
        const string Llama3 = """
            "factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":64
            """;
        var old = Parse(
            "{" + Basics + ""","rope_theta":500000.0,"rope_scaling":{"type":"llama3",""" + Llama3 + "}}");
        var current = Parse(
            "{" + Basics + ""","rope_parameters":{"rope_theta":500000.0,"rope_type":"llama3",""" + Llama3 + "}}");

        Assert.Equal(new RopeScaling("llama3", 8, 1, 4, 64), old.Rope);
        Assert.Equal(old.Rope, current.Rope);
        Assert.Equal((500_000, 500_000), (old.RopeTheta, current.RopeTheta));
    }

    [Fact]
    public void End_tokens_are_those_of_generation_and_else_of_the_model()
    {
        var config = Reader("{" + Basics + ""","eos_token_id":2.0}""");

        Assert.Equal([7, 3], GenerationDefaults.Read(config, Generation("""{"eos_token_id":[7,3]}""")).EndTokens);
        Assert.Equal([2], GenerationDefaults.Read(config, Generation("""{"eos_token_id":null}""")).EndTokens);
        Assert.Equal([2], GenerationDefaults.Read(config, null).EndTokens);
        Assert.Empty(GenerationDefaults.Read(Reader("{" + Basics + "}"), null).EndTokens);
    }

    [Fact]
    public void Generation_defaults_are_read()
    {
        var read = Read("""{"do_sample":true,"temperature":0.6,"top_p":0.9,"top_k":20,"repetition_penalty":1.05}""");

        Assert.Equal((0.6, 0.9, 20), (read.Temperature, read.TopP, read.TopK));
        Assert.Equal((1.05, null), (read.RepetitionPenalty, read.MinP));
        Assert.Equal(0.1, Read("""{"min_p":0.1}""").MinP);
        Assert.Equal(0, Read("""{"do_sample":false,"temperature":0.6}""").Temperature);
        Assert.Null(Read("{}").Temperature);

        static GenerationDefaults Read(string json) =>
            GenerationDefaults.Read(Reader("{" + Basics + "}"), Generation(json));
    }

    [Theory]
    [InlineData("""{"repetition_penalty":0}""", "repetition_penalty is 0")]
    [InlineData("""{"min_p":1.1}""", "min_p is 1.1")]
    [InlineData("""{"suppress_tokens":[1]}""", "suppress_tokens")]
    [InlineData("""{"num_beams":4}""", "num_beams is 4")]
    [InlineData("""{"eos_token_id":[0,null]}""", "eos_token_id")]
    [InlineData("""{"eos_token_id":2.5}""", "eos_token_id is 2.5")]
    [InlineData("""{"temperature":"hot"}""", "temperature")]
    [InlineData("""{"something_new":[1]}""", "something_new")]
    [InlineData("[]", "not a JSON object")]
    public void Generation_that_is_not_built_is_refused_with_its_key(string json, string reason)
    {
        var error = Assert.Throws<ModelFormatException>(
            () => GenerationDefaults.Read(Reader("{" + Basics + "}"), Generation(json)));

        Assert.Contains("generation_config.json", error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("mistral", ""","sliding_window":24""", "24 24 24 24")]
    [InlineData("mistral", "", "4096 4096 4096 4096")]
    [InlineData("mistral", ""","sliding_window":null""", "0 0 0 0")]
    [InlineData("qwen2", ""","sliding_window":16""", "0 0 0 0")]
    [InlineData("qwen2", ""","sliding_window":16,"use_sliding_window":true""", "0 0 0 0")]
    [InlineData("qwen2", ""","sliding_window":16,"use_sliding_window":true,"max_window_layers":4""", "0 0 0 0")]
    [InlineData("qwen2", ""","sliding_window":16,"use_sliding_window":true,"max_window_layers":3""", "0 0 0 16")]
    [InlineData(
        "qwen3",
        ""","sliding_window":16,"use_sliding_window":true,"max_window_layers":0,"layer_types":["full_attention","""
        + "\"sliding_attention\",\"full_attention\",\"full_attention\"]", "0 16 0 0")]
    [InlineData("gemma2", ""","sliding_window":16""", "16 0 16 0")]
    [InlineData("llama", "", "0 0 0 0")]
    public void Windows_are_those_of_the_family(string type, string keys, string windows)
    {
        var config = Parse(Of(type) + keys + "}");

        Assert.Equal(windows, string.Join(' ', Enumerable.Range(0, 4).Select(config.WindowOf)));
    }

    [Fact]
    public void Rope_scaling_counts_before_rope_parameters_unless_it_is_empty()
    {
        const string Both = ""","rope_parameters":{"rope_type":"default","rope_theta":7000},"rope_scaling":""";
        var scaled = Parse("{" + Basics + Both + """{"type":"linear","factor":4}}""");
        var empty = Parse("{" + Basics + Both + "{}}");

        Assert.Equal(("linear", 4), (scaled.Rope.Type, scaled.Rope.Factor));
        Assert.Equal(10_000, scaled.RopeTheta);
        Assert.Equal(RopeScaling.None, empty.Rope);
        Assert.Equal(7000, empty.RopeTheta);
    }

    [Fact]
    public void Families_have_the_references_defaults()
    {
        Assert.True(Parse(Of("gemma2") + "}").TiedEmbeddings);
        Assert.True(Parse(
            """
            {"model_type":"opt","hidden_size":64,"num_attention_heads":8,"num_hidden_layers":4,"vocab_size":320,
             "ffn_dim":160,"max_position_embeddings":512}
            """).TiedEmbeddings);
        Assert.Equal(1e-6, Parse(Of("llama") + "}").NormEpsilon);
        Assert.Equal(1e-5, Parse(Of("phi3") + "}").NormEpsilon);
        Assert.Equal(128, Parse(Of("qwen3") + "}").HeadSize);
        Assert.Equal(8, Parse(Of("qwen3") + ""","head_dim":null}""").HeadSize);
        Assert.Equal(Activation.GeluTanh, Parse(Of("gemma2") + "}").Activation);
        Assert.Equal((8, 8, 0.25), (
            Parse(Of("gpt_neox") + "}").KvHeads, Parse(Of("mistral") + ""","num_key_value_heads":null}""").KvHeads,
            Parse(Of("gpt_neox") + "}").RotaryFraction));
    }

    [Theory]
    [InlineData("""{"model_type":"llama"}""", "hidden_size is missing")]
    [InlineData("""{"model_type":"bert"}""", "\"bert\"")]
    [InlineData("{" + Basics + ""","num_key_value_heads":3}""", "not a multiple")]
    [InlineData("{" + Basics + ""","num_key_value_heads":0}""", "num_key_value_heads is 0")]
    [InlineData("{" + Basics + ""","head_dim":99999999}""", "head_dim is 99999999")]
    [InlineData("{" + Basics + ""","rope_scaling":{"type":"mrope","factor":2}}""", "\"mrope\"")]
    [InlineData("{" + Basics + ""","rope_scaling":{"type":"linear","factor":0}}""", "factor is 0")]
    [InlineData("{" + Basics + ""","rope_scaling":{"type":"linear"}}""", "rope_scaling.factor is missing")]
    [InlineData("{" + Basics + ""","rope_scaling":{"type":"llama3","factor":8}}""", "low_freq_factor is missing")]
    [InlineData("{" + Basics + ""","rope_scaling":{"type":"longrope","short_factor":[1]}}""", "short_factor")]
    [InlineData("{" + Basics + ""","rope_scaling":{"type":"linear","factor":2,"odd":1}}""", "rope_scaling.odd is 1")]
    [InlineData("{" + Basics + ""","rope_parameters":{"full_attention":{}}}""", "rope_parameters.full_attention")]
    [InlineData("{" + Basics + ""","partial_rotary_factor":0.5}""", "partial_rotary_factor is 0.5")]
    [InlineData("{" + Basics + ""","hidden_act":"mish"}""", "hidden_act is \"mish\"")]
    [InlineData("{" + Basics + ""","sliding_window":24}""", "sliding_window is 24")]
    [InlineData("{" + Basics + ""","quantization_config":{"bits":4}}""", "quantization_config is {\"bits\":4}")]
    [InlineData("{" + Basics + ""","attention_bias":1}""", "attention_bias is 1")]
    [InlineData("{" + Basics + ""","something_new":"x"}""", "something_new is \"x\"")]
    [InlineData("{" + Basics + ""","tie_word_embeddings":"yes"}""", "tie_word_embeddings")]
    [InlineData("{" + Basics + ""","eos_token_id":["x"]}""", "eos_token_id")]
    [InlineData("""[]""", "not a JSON object")]
    [InlineData("""{""", "not JSON")]
    public void Impossible_configuration_is_refused_with_its_key(string json, string reason)
    {
        var error = Assert.Throws<ModelFormatException>(() => Parse(json));

        Assert.Contains("config.json", error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    /// <summary>What published folders carry besides, old and new.</summary>
    [Theory]
    [InlineData("llama", ""","architectures":["LlamaForCausalLM"],"torch_dtype":"bfloat16","pretraining_tp":1,"""
        + "\"use_cache\":true,\"initializer_range\":0.02,\"_name_or_path\":\"x\",\"is_llama_config\":true,"
        + "\"rope_interleaved\":false,\"rope_scaling\":null,\"transformers_version\":\"4.41.2\"")]
    [InlineData("qwen2", ""","use_mrope":false,"max_window_layers":21,"sliding_window":32768""")]
    [InlineData("gemma2", ""","hidden_act":"gelu_pytorch_tanh","hidden_activation":"gelu_pytorch_tanh","""
        + "\"query_pre_attn_scalar\":256,\"cache_implementation\":\"hybrid\",\"attn_logit_softcapping\":50.0")]
    [InlineData("phi3", ""","auto_map":{},"embd_pdrop":0.0,"resid_pdrop":0.0,"original_max_position_embeddings":512,"""
        + "\"interpolate_factor\":1,\"lm_head_bias\":false,\"full_attn_mod\":1,\"sliding_window\":262144")]
    [InlineData("gpt_neox", ""","rotary_pct":0.25,"rotary_emb_base":10000,"classifier_dropout":0.1""")]
    public void Published_configuration_is_read(string type, string keys) =>
        Assert.Equal(type, Parse(Of(type) + keys + "}").Name);

    [Fact]
    public void Random_values_of_any_key_give_a_model_or_one_line_that_names_the_file()
    {
        string[] keys =
        [
            "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "rope_scaling", "rope_parameters",
            "rope_theta", "sliding_window", "use_sliding_window", "layer_types", "max_window_layers", "hidden_act",
            "rms_norm_eps", "tie_word_embeddings", "eos_token_id", "bos_token_id", "vocab_size", "attention_bias",
            "max_position_embeddings", "something_new", "model_type", "partial_rotary_factor",
        ];
        var value = Gen.OneOfConst(
            "null", "true", "false", "0", "1", "-1", "2.0", "1e999", "1e30", "[]", "{}", "[null]", "[0,null]", "\"x\"",
            "\"\\ud800\"", "[\"full_attention\"]", """{"type":"linear"}""", """{"type":"yarn","factor":2}""",
            """{"rope_type":"longrope","factor":1e300}""", """{"type":7}""", "\"silu\"", "\"qwen2\"");
        Gen.Select(Gen.OneOfConst(keys), value).Array[1, 3].Sample(
            changes =>
            {
                var json = "{" + Basics + string.Concat(changes.Select(c => $",\"{c.Item1}\":{c.Item2}")) + "}";
                try
                {
                    var config = Parse(json);
                    ModelFamily.For(config).Tensors(config);
                }
                catch (ModelFormatException error)
                {
                    Assert.Contains("config.json: ", error.Message, StringComparison.Ordinal);
                    Assert.DoesNotContain('\n', error.Message);
                }
            },
            iter: 2000);
    }

    [Fact]
    public void Random_bytes_of_a_configuration_give_a_model_or_one_line_that_names_the_file()
    {
        var source = Encoding.UTF8.GetBytes("{" + Basics + ""","rope_scaling":{"type":"linear","factor":4}}""");
        Gen.Select(Gen.Select(Gen.Int[0, source.Length - 1], Gen.Byte).Array[1, 4], Gen.Int[0, source.Length]).Sample(
            (changes, end) =>
            {
                var bytes = source.ToArray();
                foreach (var (at, value) in changes) bytes[at] = value;
                try
                {
                    ModelConfig.Parse(
                        new ConfigFile("config.json", end % 3 == 0 ? bytes.AsSpan(0, end) : bytes), null,
                        ModelFamily.RulesOf);
                }
                catch (ModelFormatException error)
                {
                    Assert.Contains("config.json: ", error.Message, StringComparison.Ordinal);
                    Assert.DoesNotContain('\n', error.Message);
                }
            },
            iter: 2000);
    }

    /// <summary>An open object with what every family needs.</summary>
    private static string Of(string type) =>
        "{" + Basics.Replace("\"llama\"", $"\"{type}\"", StringComparison.Ordinal)
        + (type == "qwen2" || type == "qwen3" ? ""","num_key_value_heads":4""" : "");

    private static ConfigFile Generation(string json) =>
        new("generation_config.json", Encoding.UTF8.GetBytes(json));

    private static ModelConfig Parse(string json) => ModelConfig.Parse(Reader(json), null, ModelFamily.RulesOf);

    private static ConfigFile Reader(string json) => new("config.json", Encoding.UTF8.GetBytes(json));
}
