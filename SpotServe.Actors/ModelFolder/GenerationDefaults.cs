using System.Collections.Frozen;
using System.Collections.Immutable;

namespace SpotServe.Actors.ModelFolder;

/// <summary>What generation_config.json says of how texts are generated when a request does not say.</summary>
/// <param name="EndTokens">Tokens that end a text: generation_config.json's, else config.json's.</param>
/// <param name="Temperature">Null where the file says nothing, as the others.</param>
public sealed record GenerationDefaults(
    ImmutableArray<int> EndTokens, double? Temperature, double? TopP, int? TopK)
{
    /// <summary>As of <see cref="LogitPenalties"/>, and the next.</summary>
    public double? RepetitionPenalty { get; init; }

    public double? MinP { get; init; }

    public const string FileName = "generation_config.json";

    /// <summary>Keys that say nothing about the tokens of a completion here: about lengths, which requests say; about
    /// what a call returns; about how caches are kept; about other ways to search; about other tasks.</summary>
    private static readonly FrozenSet<string> Harmless = FrozenSet.ToFrozenSet(
        [
            "_from_model_config", "transformers_version", "bos_token_id", "pad_token_id", "decoder_start_token_id",
            "max_length", "max_new_tokens", "use_cache", "cache_implementation", "cache_config", "return_legacy_cache",
            "output_attentions", "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate",
            "num_return_sequences", "length_penalty", "early_stopping", "num_beam_groups", "diversity_penalty",
            "trust_remote_code", "prompt_lookup_num_tokens", "num_assistant_tokens", "num_assistant_tokens_schedule",
            "assistant_confidence_threshold", "is_assistant", "compile_config", "disable_compile",
            "prefill_chunk_size", "chat_format", "max_window_size", "_commit_hash", "use_mambapy",
            "max_matching_ngram_size", "assistant_early_exit", "assistant_lookbehind", "target_lookbehind",
        ],
        StringComparer.Ordinal);

    /// <summary>Keys that change the tokens and are not built here, with the values that ask for nothing.</summary>
    private static readonly FrozenDictionary<string, string[]> Neutral = new Dictionary<string, string[]>
    {
        ["encoder_repetition_penalty"] = ["1"],
        ["typical_p"] = ["1"],
        ["top_h"] = [],
        ["epsilon_cutoff"] = ["0"],
        ["eta_cutoff"] = ["0"],
        ["penalty_alpha"] = ["0"],
        ["guidance_scale"] = ["1"],
        ["low_memory"] = ["false"],
        ["no_repeat_ngram_size"] = ["0"],
        ["encoder_no_repeat_ngram_size"] = ["0"],
        ["num_beams"] = ["1"],
        ["min_length"] = ["0", "1"],
        ["min_new_tokens"] = ["0", "1"],
        ["bad_words_ids"] = ["[]"],
        ["force_words_ids"] = ["[]"],
        ["suppress_tokens"] = ["[]"],
        ["begin_suppress_tokens"] = ["[]"],
        ["stop_strings"] = ["[]"],
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <exception cref="ModelFormatException">A key is malformed, or changes the tokens in a way that is not built
    /// here; the message names it.</exception>
    public static GenerationDefaults Read(ConfigFile config, ConfigFile? generation)
    {
        if (generation is null) return new GenerationDefaults(config.Tokens("eos_token_id"), null, null, null);
        generation.RefuseUnknown(
            null,
            key => Harmless.Contains(key) || Neutral.ContainsKey(key)
                || key is "eos_token_id" or "do_sample" or "temperature" or "top_p" or "top_k" or "min_p"
                or "repetition_penalty",
            "this server");
        foreach (var (key, values) in Neutral)
        {
            if (generation.Has(key) && !values.Any(value => generation.Is(key, value)))
            {
                throw generation.Bad(
                    [key],
                    "changes what is generated, and is not built here; "
                    + (values is [var neutral, ..] ? $"set it to {neutral} or remove it" : "remove it"));
            }
        }

        var ends = generation.Tokens("eos_token_id");
        var samples = generation.Flag("do_sample");
        var topK = Within(generation, "top_k", 0, int.MaxValue);
        return new GenerationDefaults(
            ends.IsEmpty ? config.Tokens("eos_token_id") : ends,
            // What never samples takes the likeliest token, whatever else it says.
            samples == false ? 0 : Within(generation, "temperature", 0, 100),
            Within(generation, "top_p", float.Epsilon, 1),
            topK is null ? null : (int)topK)
        {
            RepetitionPenalty = Within(generation, "repetition_penalty", float.Epsilon, 100),
            MinP = Within(generation, "min_p", 0, 1),
        };
    }

    private static double? Within(ConfigFile file, string key, double min, double max) =>
        file.Number(key) is not { } number ? null
            : number >= min && number <= max ? number
            : throw file.Bad([key], $"must be {min:0.##} to {max:0.##}");
}
