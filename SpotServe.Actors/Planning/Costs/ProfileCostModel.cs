namespace SpotServe.Actors.Planning;

/// <summary>
/// The paper's cost model (section 3 of the paper, in the form of its artifact): layer times from a table, a pipeline
/// of P stages with M1 micro-batches of prompts and M2 of steps. It reproduces the paper's Table 1.
/// </summary>
/// <remarks>
/// The artifact divides the prompts' pass by M1 once too often (a batch of four in four parts is charged little more
/// than one prompt). Kept with fixed batches, because every published number has it in; continuous batching charges
/// each prompt in full, so the two are not to be compared with each other.
/// </remarks>
public sealed class ProfileCostModel(ProfileTable table) : ICostModel
{
    public ProfileTable Table { get; } = table;

    public bool Knows(ReplicaShape shape) => Table.Ranks.ContainsKey(shape.Ranks) && shape.Ranks <= Table.RanksMax;

    public ReplicaCost Cost(ReplicaShape shape, int batch, Workload load, Batching batching)
    {
        Inputs.AtLeast(batch, 1, "The batch size");
        return batching == Batching.Fixed ? Fixed(shape, batch, load) : Continuous(shape, batch, load);
    }

    private ReplicaCost Fixed(ReplicaShape shape, int batch, Workload load)
    {
        var (stages, ranks, layers) = (shape.Stages.Length, shape.Ranks, shape.LayersMax);
        var prompt = load.PromptTokens / (double)ProfileTable.PromptTokens;
        var (prefill, prefillParts) = Best(batch, parts =>
            (prompt * Table.Layer(ranks, batch / parts).Init * layers * (stages + parts - 1) / parts)
            + (Table.InitHandOff * (stages - 1) / parts));
        var (step, stepParts) = Best(batch, parts =>
            (Table.Layer(ranks, batch / parts).Incr * layers * (stages + parts - 1))
            + (Table.IncrHandOff * (stages - 1) / parts));
        return Scaled(batch, prefill, step, 2 * Embed(batch), prefillParts, stepParts);
    }

    /// <summary>
    /// Steady state: P micro-batches are always under way, so a step costs no filling of the pipeline, and each request
    /// also waits for the prompts of the others that join during its life, one of each per batch slot.
    /// </summary>
    private ReplicaCost Continuous(ReplicaShape shape, int batch, Workload load)
    {
        var (stages, ranks, layers) = (shape.Stages.Length, shape.Ranks, shape.LayersMax);
        var prompt = load.PromptTokens / (double)ProfileTable.PromptTokens;
        var stageInit = prompt * Table.Layer(ranks, 1).Init * layers;
        var (step, parts) = Best(batch, parts =>
            (Table.Layer(ranks, batch / parts).Incr * layers * Math.Max(stages, parts))
            + (Table.IncrHandOff * (stages - 1) / parts));
        var prefill = (stageInit * stages) + (Table.InitHandOff * (stages - 1));
        var overhead = ((batch - 1) * stageInit) + (2 * Embed(batch));
        return Scaled(batch, prefill, step, overhead, 1, parts);
    }

    private ReplicaCost Scaled(
        int batch, double prefill, double step, double overhead, int prefillParts, int stepParts)
    {
        var seconds = Table.FinalFixFactor / 1000;
        return new ReplicaCost(
            batch, prefill * seconds, step * seconds, overhead * seconds, prefillParts, stepParts);
    }

    /// <summary>The cheapest power of two of micro-batches that divides the batch.</summary>
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

    private double Embed(int batch) =>
        Table.Embed[Math.Min(System.Numerics.BitOperations.Log2((uint)batch), Table.Embed.Length - 1)];
}
