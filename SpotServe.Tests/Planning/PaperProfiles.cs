using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Planning;

/// <summary>
/// Excerpts of the paper's profiles, so that its goldens are checked on any machine. Measurements by the SpotServe
/// authors: github.com/Hsword/SpotServe, branch artifact, elastic-switch/profile/T4-4x, Apache License 2.0.
/// </summary>
internal static class PaperProfiles
{
    public static ProfileTable Opt6Billion => ProfileTable.Parse("""
        { "layer_num": 32, "padded_layer_num": 36, "final_fix_factor": 1.1, "pp_init_comm": 5.3, "pp_incr_comm": 0.07,
          "embed": [0.298, 0.372, 0.461, 0.719], "tp-4": { "bsz-1": { "init": 19.567, "incr": 1.056 } } }
        """);

    public static ProfileTable Gpt20Billion => ProfileTable.Parse("""
        { "layer_num": 44, "padded_layer_num": 48, "final_fix_factor": 1.1, "pp_init_comm": 7.0, "pp_incr_comm": 0.1,
          "embed": [0.318, 0.471, 0.607, 1.079],
          "tp-4": { "bsz-1": { "init": 37.562, "incr": 1.968 }, "bsz-2": { "init": 64.61, "incr": 1.938 },
                    "bsz-4": { "init": 132.855, "incr": 2.13 } },
          "tp-8": { "bsz-1": { "init": 32.2, "incr": 1.758 }, "bsz-2": { "init": 42.778, "incr": 1.764 },
                    "bsz-4": { "init": 80.624, "incr": 1.932 } } }
        """);

    public static ProfileTable Llama30Billion => ProfileTable.Parse("""
        { "layer_num": 48, "padded_layer_num": 48, "final_fix_factor": 1.1, "pp_init_comm": 8.0, "pp_incr_comm": 0.15,
          "embed": [0.404, 0.519, 0.797, 1.448], "tp-8": { "bsz-1": { "init": 41.947, "incr": 2.263 } } }
        """);
}
