using System.Text;
using SpotServe.Actors.Execution;
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
    public void End_tokens_of_both_files_are_joined()
    {
        var generation = new JsonReader("generation_config.json", """{"eos_token_id":[7,2]}"""u8);

        var config = ModelConfig.Parse(Reader("{" + Basics + ""","eos_token_id":2,"bos_token_id":1}"""), generation);

        Assert.Equal([7, 2], config.EndTokens);
        Assert.Equal(1, config.BeginToken);
    }

    [Fact]
    public void Sliding_window_counts_only_when_it_is_used()
    {
        Assert.Equal(24, Parse("{" + Basics + ""","sliding_window":24}""").SlidingWindow);
        Assert.Null(Parse("{" + Basics + ""","sliding_window":24,"use_sliding_window":false}""").SlidingWindow);
        Assert.Null(Parse("{" + Basics + ""","sliding_window":null}""").SlidingWindow);
    }

    [Theory]
    [InlineData("""{"model_type":"llama"}""", "hidden_size is missing")]
    [InlineData("{" + Basics + ""","num_key_value_heads":3}""", "not a multiple")]
    [InlineData("{" + Basics + ""","num_key_value_heads":0}""", "num_key_value_heads is 0")]
    [InlineData("{" + Basics + ""","head_dim":99999999}""", "head_dim is 99999999")]
    [InlineData("{" + Basics + ""","rope_scaling":{"type":"yarn","factor":2}}""", "\"yarn\"")]
    [InlineData("{" + Basics + ""","rope_scaling":{"type":"linear","factor":0}}""", "factor 0")]
    [InlineData("{" + Basics + ""","tie_word_embeddings":"yes"}""", "tie_word_embeddings")]
    [InlineData("{" + Basics + ""","eos_token_id":["x"]}""", "eos_token_id")]
    [InlineData("""[]""", "not a JSON object")]
    [InlineData("""{""", "not JSON")]
    public void Impossible_configuration_is_refused_with_its_key(string json, string reason)
    {
        var error = Assert.Throws<ModelFormatException>(() => Parse(json));

        Assert.Contains("config.json", error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    private static ModelConfig Parse(string json) => ModelConfig.Parse(Reader(json), null);

    private static JsonReader Reader(string json) => new("config.json", Encoding.UTF8.GetBytes(json));
}
