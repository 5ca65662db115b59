using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>Families and options of which no values of the reference are at hand, against <see cref="ReferenceModel"/>,
/// in one piece and cut over stages and ranks.</summary>
[Collection("Engine")]
public sealed class FamilyTests
{
    private const double Tolerance = 2e-3;
    private const int Steps = 6;

    private static readonly (int Stages, int Ranks)[] Layouts = [(1, 1), (2, 1), (1, 2), (2, 4)];
    private static readonly int[] Prompt = [.. Enumerable.Range(0, 21).Select(i => (i * 37 + 5) % 96)];

    public static TheoryData<string, string> Models()
    {
        const string LongRope =
            """
            "rope_scaling":{"type":"longrope","short_factor":[1.1,1.5,2.0],"long_factor":[2.0,3.0,4.0]},
            "original_max_position_embeddings":64,"partial_rotary_factor":0.75
            """;
        return new TheoryData<string, string>
        {
            { "llama", "" },
            { "llama", "\"attention_bias\":true,\"mlp_bias\":true,\"hidden_act\":\"gelu\"" },
            { "llama", "\"hidden_act\":\"gelu_new\",\"tie_word_embeddings\":true" },
            { "llama", "\"hidden_act\":\"relu2\",\"head_dim\":16" },
            { "llama", "\"hidden_act\":\"quick_gelu\",\"num_key_value_heads\":1" },
            { "llama", "\"rope_scaling\":{\"type\":\"linear\",\"factor\":4},"
                + "\"rope_parameters\":{\"rope_type\":\"default\"}" },
            { "llama", "\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4}" },
            { "llama", "\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4,\"rope_theta\":1000,"
                + "\"original_max_position_embeddings\":32,\"beta_fast\":4}" },
            { "llama", "\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
                + "\"high_freq_factor\":4,\"original_max_position_embeddings\":16}" },
            { "mistral", "\"sliding_window\":7" },
            { "qwen2", "\"sliding_window\":7" },
            { "qwen2", "\"sliding_window\":7,\"use_sliding_window\":true,\"max_window_layers\":2" },
            { "granite", "\"embedding_multiplier\":12,\"attention_multiplier\":0.3,\"residual_multiplier\":0.22,"
                + "\"logits_scaling\":8" },
            { "phi3", "" },
            { "phi3", LongRope },
            { "gemma2", "\"head_dim\":16,\"query_pre_attn_scalar\":24,\"sliding_window\":7,"
                + "\"hidden_activation\":\"gelu_pytorch_tanh\",\"attn_logit_softcapping\":5,"
                + "\"final_logit_softcapping\":3" },
            { "olmo2", "" },
            { "olmo2", "\"num_key_value_heads\":4" },
            { "gpt_neox", "\"use_parallel_residual\":true" },
            { "gpt_neox", "\"use_parallel_residual\":false,\"attention_bias\":false,\"hidden_act\":\"gelu_new\"" },
            { "opt", "\"do_layer_norm_before\":false,\"word_embed_proj_dim\":24" },
            { "opt", "\"enable_bias\":false,\"activation_function\":\"gelu\"" },
        };
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Model_gives_the_logits_of_a_direct_computation_however_it_is_cut(string type, string changes)
    {
        var made = new MadeFamily(type, Parse(changes));
        var tokens = Prompt.ToList();
        var logits = new List<double[]>();
        for (var step = 0; step < Steps; step++)
        {
            logits.Add(made.Reference.Logits([.. tokens]));
            tokens.Add(Array.IndexOf(logits[^1], logits[^1].Max()));
        }

        foreach (var (stages, ranks) in Layouts)
        {
            using var harness = new ReplicaHarness(made.Folder, stages, ranks);
            var sequence = new TestSequence(
                tokens[..Prompt.Length], SamplingParameters.Greedy, Enumerable.Range(3, ReplicaHarness.PageCount - 3));
            while (sequence.Cached < Prompt.Length) harness.Step([sequence], chunkMax: 8);
            for (var step = 0; step < Steps; step++)
            {
                if (step > 0) harness.Step([sequence]);
                var worst = logits[step].Zip(harness.Logits[0], (e, a) => Math.Abs(e - a)).Max();
                Assert.True(worst < Tolerance, $"({stages},{ranks}), step {step}: the worst logit is off by {worst}.");
            }
        }
    }

    private static (string, string)[] Parse(string changes)
    {
        using var document = System.Text.Json.JsonDocument.Parse($"{{{changes}}}");
        return [.. document.RootElement.EnumerateObject().Select(member => (member.Name, member.Value.GetRawText()))];
    }
}
