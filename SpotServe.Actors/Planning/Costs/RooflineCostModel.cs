namespace SpotServe.Actors.Planning;

/// <summary>
/// Times from a probe of the devices instead of a profile of the model: a stage reads its weights and KV once per step
/// or computes for as long as its products take, whichever is more, plus a fixed time per layer and the links' share.
/// Good to some 20 % before correction; <see cref="CorrectedCostModel"/> fits it to measured steps.
/// </summary>
public sealed class RooflineCostModel(SliceGeometry geometry, LinkRates links) : ICostModel
{
    // Sums over the attention and the feed-forward part: two all-reduces a layer.
    private const int ReducesPerLayer = 2;

    public bool Knows(ReplicaShape shape) =>
        shape.Ranks >= 1 && geometry.Model.HeadCount % shape.Ranks == 0 && Share.Unit % shape.Ranks == 0;

    public ReplicaCost Cost(ReplicaShape shape, int batch, Workload load, Batching batching)
    {
        Inputs.AtLeast(batch, 1, "The batch size");
        geometry.RequireRanks(shape.Ranks);
        links.Require();
        var context = load.PromptTokens + (load.OutputTokens / 2);
        return batching == Batching.Fixed
            ? Fixed(shape, batch, load, context)
            : Continuous(shape, batch, load, context);
    }

    private ReplicaCost Fixed(ReplicaShape shape, int batch, Workload load, int context)
    {
        var (prefill, prefillParts) = Best(batch, parts => Pipelined(
            shape, parts, Stages(shape, batch / parts * load.PromptTokens, batch / parts, load.PromptTokens / 2)));
        var (step, stepParts) = Best(batch, parts => Pipelined(
            shape, parts, Stages(shape, batch / parts, batch / parts, context)));
        return new ReplicaCost(batch, prefill, step, 0, prefillParts, stepParts);
    }

    private ReplicaCost Continuous(ReplicaShape shape, int batch, Workload load, int context)
    {
        var prompt = Stages(shape, load.PromptTokens, 1, load.PromptTokens / 2);
        // The scheduler has a step under way for each stage while there are sequences enough: then every stage is
        // always busy; with fewer steps, each one waits for its turn.
        var parts = Math.Min(shape.Stages.Length, batch);
        var sequences = (batch + parts - 1) / parts;
        var stages = Stages(shape, sequences, sequences, context);
        var step = Math.Max(stages.Sum(), parts * stages.Max());
        return new ReplicaCost(batch, prompt.Sum(), step, (batch - 1) * prompt.Max(), 1, parts);
    }

    /// <summary>Fill the pipeline once, then one micro-batch per turn of the slowest stage.</summary>
    private static double Pipelined(ReplicaShape shape, int parts, double[] stages)
    {
        Invariant.Holds(stages.Length == shape.Stages.Length);
        return stages.Sum() + ((parts - 1) * stages.Max());
    }

    /// <summary>Seconds of each stage for a micro-batch, its hand-off to the next included.</summary>
    private double[] Stages(ReplicaShape shape, int tokens, int sequences, int context)
    {
        var seconds = new double[shape.Stages.Length];
        for (var p = 0; p < seconds.Length; p++)
        {
            seconds[p] = Stage(shape.Stages[p], shape.Ranks, tokens, sequences, context, p == seconds.Length - 1);
            if (p < seconds.Length - 1)
            {
                seconds[p] += links.LatencySeconds + (ActivationBytes(tokens) / links.InterNode);
            }
        }

        return seconds;
    }

    private double Stage(StageShape stage, int ranks, int tokens, int sequences, int context, bool last)
    {
        var model = geometry.Model;
        var element = model.WeightType.Bytes();
        var heads = Math.Max(1.0, model.KvHeadCount / (double)ranks);
        var weights = (geometry.LayerBytes / (double)ranks * stage.Layers)
            + (last ? geometry.BackBytes / (double)ranks : 0);
        var kv = (double)sequences * context * stage.Layers * heads * geometry.KvBytesPerTokenLayerHead;
        // Only the sequences' last tokens pass the head, whether in prefill or decode.
        var flops = (2.0 * geometry.LayerBytes / element / ranks * stage.Layers * tokens)
            + (4.0 * model.HeadSize * model.HeadCount / ranks * context * stage.Layers * tokens)
            + (last ? 2.0 * geometry.BackBytes / element / ranks * sequences : 0);
        var work = Math.Max((weights + kv) / stage.Kind.WeightBytesPerSecond, flops / stage.Kind.FlopsPerSecond);
        return work + (stage.Layers * (stage.Kind.LayerOverheadSeconds + Reduce(stage, ranks, tokens)));
    }

    /// <summary>Ring all-reduces of a layer: each rank sends 2 (M-1)/M of the hidden states, in 2 (M-1)
    /// turns.</summary>
    private double Reduce(StageShape stage, int ranks, int tokens)
    {
        if (ranks == 1) return 0;
        var rate = stage.SpansInstances ? links.InterNode : links.IntraNode;
        var latency = stage.SpansInstances ? links.LatencySeconds : links.LatencySeconds / 10;
        var turns = 2 * (ranks - 1);
        return ReducesPerLayer * ((turns * latency) + (turns / (double)ranks * ActivationBytes(tokens) / rate));
    }

    private double ActivationBytes(int tokens) =>
        (double)tokens * geometry.Model.HiddenSize * geometry.Model.WeightType.Bytes();

    private static (double Cost, int Parts) Best(int batch, Func<int, double> cost)
    {
        var best = (Cost: double.PositiveInfinity, Parts: 1);
        for (var parts = 1; parts <= batch && batch % parts == 0; parts *= 2)
        {
            var value = cost(parts);
            if (value < best.Cost) best = (value, parts);
        }

        return best;
    }
}
