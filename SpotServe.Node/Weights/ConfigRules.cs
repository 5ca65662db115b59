using System.Collections.Frozen;
using System.Collections.Immutable;

namespace SpotServe.Node.Weights;

/// <summary>Which layers look back on a window only.</summary>
public enum WindowRule
{
    /// <summary>None: the family has no windows.</summary>
    None,

    /// <summary>All, if there is a window.</summary>
    All,

    /// <summary>With use_sliding_window, those that layer_types says, else those from max_window_layers on.</summary>
    Flagged,

    /// <summary>Those that layer_types says, else every second one from the first on.</summary>
    Alternating,
}

/// <summary>
/// How a family reads its config.json: the keys that it applies beyond those of all families, and what a key that is
/// absent means, as the reference has it. Any other key that asks for something is refused.
/// </summary>
public sealed record ConfigRules
{
    /// <summary>Keys that all families apply.</summary>
    private static readonly FrozenSet<string> Common = FrozenSet.ToFrozenSet(
        [
            "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size",
            "max_position_embeddings", "tie_word_embeddings", "eos_token_id", "bos_token_id",
        ],
        StringComparer.Ordinal);

    /// <summary>
    /// Keys that change no logit, whatever they say: of training (dropouts, initialisation, losses), of bookkeeping, of
    /// other tasks' heads, of how another implementation computes, and of generation, which transformers 5 does not
    /// read here (generation_config.json has its own list).
    /// </summary>
    private static readonly FrozenSet<string> Harmless = FrozenSet.ToFrozenSet(
        [
            "architectures", "transformers_version", "_name_or_path", "name_or_path", "_commit_hash", "auto_map",
            "torch_dtype", "dtype", "use_cache", "pad_token_id", "sep_token_id", "cls_token_id", "unk_token_id",
            "decoder_start_token_id", "tokenizer_class", "_attn_implementation", "attn_implementation",
            "_attn_implementation_autoset", "use_flash_attn", "use_sdpa", "use_bfloat16", "torchscript",
            "return_dict", "output_attentions", "output_hidden_states", "gradient_checkpointing", "pretraining_tp",
            "initializer_range", "initializer_factor", "init_std", "init_method", "attention_dropout",
            "activation_dropout", "dropout", "layerdrop", "hidden_dropout", "hidden_dropout_prob",
            "attention_probs_dropout_prob", "classifier_dropout", "attn_pdrop", "embd_pdrop", "resid_pdrop",
            "embedding_dropout", "residual_dropout", "summary_activation", "summary_first_dropout",
            "summary_proj_to_labels", "summary_type", "summary_use_proj", "task_specific_params", "finetuning_task",
            "problem_type", "id2label", "label2id", "num_labels", "is_decoder", "tf_legacy_loss", "pruned_heads",
            "reorder_and_upcast_attn", "n_ctx", "cache_implementation", "model_max_length", "is_llama_config",
            "unsloth_version", "unsloth_fixed", "transformers.js_config", "_from_model_config",
            "keys_to_ignore_at_inference", "do_sample", "temperature", "top_p", "top_k", "typical_p",
            "repetition_penalty", "length_penalty", "max_length", "min_length", "max_new_tokens", "num_beams",
            "num_beam_groups", "num_return_sequences", "diversity_penalty", "early_stopping", "no_repeat_ngram_size",
            "encoder_no_repeat_ngram_size", "bad_words_ids", "forced_bos_token_id", "forced_eos_token_id",
            "suppress_tokens", "begin_suppress_tokens", "exponential_decay_length_penalty", "remove_invalid_values",
            "output_scores", "return_dict_in_generate", "prefix",
        ],
        StringComparer.Ordinal);

    /// <summary>Sizes that the family applies besides.</summary>
    public ImmutableArray<string> Keys { get; init; } = [];

    /// <summary>Flags that the family applies.</summary>
    public ImmutableArray<string> Flags { get; init; } = [];

    /// <summary>Numbers above 0 that the family applies.</summary>
    public ImmutableArray<string> Numbers { get; init; } = [];

    /// <summary>What the reference does not read for this family, though its models carry it.</summary>
    public ImmutableArray<string> Unread { get; init; } = [];

    /// <summary>Keys with the one value, as JSON, that is built.</summary>
    public ImmutableArray<(string Key, string Value)> Only { get; init; } = [];

    /// <summary>The key of norms' epsilon, and its value where it is absent; null where none sets it.</summary>
    public (string? Key, double Default) NormEpsilon { get; init; } = ("rms_norm_eps", 1e-6);

    public (string Key, string Default) Activation { get; init; } = ("hidden_act", "silu");

    public bool TiedEmbeddings { get; init; }

    /// <summary>Whether there may be fewer key/value heads than query heads (num_key_value_heads).</summary>
    public bool HasKvHeads { get; init; } = true;

    /// <summary>Key/value heads where the key is absent; null: as many as query heads, as a key that is null
    /// says.</summary>
    public int? KvHeads { get; init; }

    /// <summary>Whether a head's size may be other than hidden size / heads (head_dim).</summary>
    public bool HasHeadSize { get; init; } = true;

    /// <summary>A head's size where the key is absent; null: hidden size / heads, as a key that is null says.</summary>
    public int? HeadSize { get; init; }

    public WindowRule Windows { get; init; }

    /// <summary>The window where the key is absent; a key that is null means none.</summary>
    public int? Window { get; init; }

    /// <summary>Null for a family without rotary positions.</summary>
    public RotaryRules? Rotary { get; init; } = new();

    public bool Knows(string key) => Common.Contains(key) || Harmless.Contains(key) || Keys.Contains(key)
        || Flags.Contains(key) || Numbers.Contains(key) || Unread.Contains(key)
        || Only.Any(only => only.Key == key) || key == NormEpsilon.Key || key == Activation.Key
        || (HasKvHeads && key == "num_key_value_heads") || (HasHeadSize && key == "head_dim")
        || KnowsWindow(key) || Rotary?.Knows(key) == true;

    private bool KnowsWindow(string key) => key switch
    {
        "sliding_window" => Windows != WindowRule.None,
        "use_sliding_window" or "max_window_layers" => Windows == WindowRule.Flagged,
        "layer_types" => Windows is WindowRule.Flagged or WindowRule.Alternating,
        _ => false,
    };
}

/// <summary>Where a family's rotary positions are configured.</summary>
/// <param name="Theta">Key of the base.</param>
/// <param name="Fraction">Key of the part of each head that is turned; null where all of it is.</param>
/// <param name="FractionDefault">Where that key is absent.</param>
/// <param name="IsLongOnly">Only "default" and "longrope" exist, and "su" and "yarn" are old names of the
/// latter.</param>
public sealed record RotaryRules(
    string Theta = "rope_theta", string? Fraction = null, double FractionDefault = 1, bool IsLongOnly = false)
{
    public bool Knows(string key) => key == Theta || key == Fraction
        || key is "rope_scaling" or "rope_parameters" or "original_max_position_embeddings";
}
