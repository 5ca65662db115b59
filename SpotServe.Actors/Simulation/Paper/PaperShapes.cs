using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// The evaluation's inputs for those who lack its files: machine counts over time as the paper gives them, arrivals
/// with the variation that its files have, and the layer times that its layouts need. The layer times were measured by
/// the SpotServe authors: github.com/Hsword/SpotServe, branch artifact, elastic-switch/profile/T4-4x, Apache License
/// 2.0.
/// </summary>
public static class PaperShapes
{
    /// <summary>Output and prompt lengths of the evaluation.</summary>
    private const int PromptTokens = 512, OutputTokens = 128;

    /// <summary>Seconds and machines from then on; the last entry is the end.</summary>
    private static readonly (string Name, (double Seconds, int Machines)[] Steps)[] Counts =
    [
        ("A_S", [(0, 7), (240, 8), (360, 10), (600, 9), (900, 10), (1200, 8), (1320, 8)]),
        ("B_S", [(0, 10), (120, 8), (240, 7), (720, 8), (960, 9), (1020, 9)]),
        ("A_S+O", [(0, 7), (120, 10), (600, 9), (690, 10), (1200, 8), (1290, 10), (1380, 10)]),
        ("B_S+O", [(0, 10), (120, 8), (210, 10), (240, 9), (330, 10), (720, 10)]),
    ];

    internal static ProfileTable OptProfile => ProfileTable.Parse("""
        { "layer_num": 32, "padded_layer_num": 36, "final_fix_factor": 1.1, "pp_init_comm": 5.3, "pp_incr_comm": 0.07,
          "embed": [0.298, 0.372, 0.461, 0.719],
          "tp-4": { "bsz-1": { "init": 19.567, "incr": 1.056 }, "bsz-2": { "init": 31.043, "incr": 0.932 },
                    "bsz-4": { "init": 61.566, "incr": 1.021 } },
          "tp-8": { "bsz-1": { "init": 17.733, "incr": 1.278 }, "bsz-2": { "init": 26.569, "incr": 1.05 },
                    "bsz-4": { "init": 44.562, "incr": 1.309 } } }
        """);

    internal static ProfileTable GptProfile => ProfileTable.Parse("""
        { "layer_num": 44, "padded_layer_num": 48, "final_fix_factor": 1.1, "pp_init_comm": 7.0, "pp_incr_comm": 0.1,
          "embed": [0.318, 0.471, 0.607, 1.079],
          "tp-4": { "bsz-1": { "init": 37.562, "incr": 1.968 }, "bsz-2": { "init": 64.61, "incr": 1.938 },
                    "bsz-4": { "init": 132.855, "incr": 2.13 } },
          "tp-8": { "bsz-1": { "init": 32.2, "incr": 1.758 }, "bsz-2": { "init": 42.778, "incr": 1.764 },
                    "bsz-4": { "init": 80.624, "incr": 1.932 } } }
        """);

    internal static ProfileTable LlamaProfile => ProfileTable.Parse("""
        { "layer_num": 48, "padded_layer_num": 48, "final_fix_factor": 1.1, "pp_init_comm": 8.0, "pp_incr_comm": 0.15,
          "embed": [0.404, 0.519, 0.797, 1.448],
          "tp-4": { "bsz-1": { "init": 66.079, "incr": 2.618 }, "bsz-2": { "init": 93.799, "incr": 2.632 },
                    "bsz-4": { "init": 191.445, "incr": 2.837 } },
          "tp-8": { "bsz-1": { "init": 41.947, "incr": 2.263 }, "bsz-2": { "init": 67.061, "incr": 2.493 },
                    "bsz-4": { "init": 109.761, "incr": 2.418 } } }
        """);

    /// <param name="seed">Of the arrivals.</param>
    public static PaperInputs Inputs(int seed = 1)
    {
        ImmutableArray<PaperModel> models =
        [
            PaperModel.Opt6Billion(OptProfile), PaperModel.Gpt20Billion(GptProfile),
            PaperModel.Llama30Billion(LlamaProfile),
        ];
        var end = Counts.Max(trace => trace.Steps[^1].Seconds);
        return new PaperInputs(
            models,
            Counts.ToImmutableDictionary(trace => trace.Name, trace => Shape(trace.Name, trace.Steps)),
            models.ToImmutableDictionary(
                model => model.Name,
                model => ArrivalGenerator.Gamma(
                    model.Rate, FileVariation(model.Rate), end, PromptTokens, OutputTokens, seed)));
    }

    /// <summary>The variation that the artifact's "CV = 6" really has: 6 is its Gamma's scale in
    /// milliseconds.</summary>
    public static double FileVariation(double rate) => Math.Sqrt(6 * rate / 1000);

    /// <summary>Machines are lost from the middle of those that are there, so that a loss mostly hits one that
    /// works.</summary>
    private static Availability Shape(string name, (double Seconds, int Machines)[] steps)
    {
        var (present, made) = (new List<string>(), 0);
        var changes = ImmutableArray.CreateBuilder<FleetChange>();
        foreach (var (seconds, machines) in steps.SkipLast(1))
        {
            var removed = new List<string>();
            while (present.Count > machines)
            {
                removed.Add(present[present.Count / 2]);
                present.RemoveAt(present.Count / 2);
            }

            var added = new List<string>();
            while (present.Count < machines)
            {
                present.Add(FormattableString.Invariant($"node-{made++}"));
                added.Add(present[^1]);
            }

            changes.Add(new FleetChange(seconds, [.. added], [.. removed]));
        }

        return new Availability(name, changes.ToImmutable(), steps[^1].Seconds, []);
    }
}
