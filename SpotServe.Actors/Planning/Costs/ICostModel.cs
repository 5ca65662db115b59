using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>How a replica fills its batch.</summary>
public enum Batching
{
    /// <summary>The paper's: B requests start and end together.</summary>
    Fixed,

    /// <summary>Requests join and leave between steps.</summary>
    Continuous,
}

/// <summary>A stage of a replica as far as its speed goes.</summary>
/// <param name="Kind">What it runs on.</param>
/// <param name="SpansInstances">Whether its ranks are on several machines and so reduce over the network.</param>
public readonly record struct StageShape(int Layers, DeviceKind Kind, bool SpansInstances);

/// <summary>A replica as far as its speed goes: its stages and its ranks.</summary>
public sealed record ReplicaShape(ImmutableArray<StageShape> Stages, int Ranks)
{
    /// <summary>Equal stages of one kind; the first ones get the odd layers.</summary>
    public static ReplicaShape Even(int layers, int stages, int ranks, DeviceKind kind, bool spansInstances = false) =>
        new(
            [.. Layout.EvenStages(layers, 1, stages).Select(s => new StageShape(s.Count, kind, spansInstances))],
            ranks);

    /// <summary>Layers of the longest stage: the L of the paper's formulas.</summary>
    public int LayersMax => Stages.Max(stage => stage.Layers);
}

/// <summary>Times of a replica that runs a batch, in seconds.</summary>
/// <param name="Prefill">Until the batch's first tokens; with continuous batching, of one prompt.</param>
/// <param name="Step">One more token for every sequence of the batch.</param>
/// <param name="Overhead">Besides these, once per request; with continuous batching, the prompts of the others that
/// are run in between.</param>
/// <param name="PrefillParts">M1: micro-batches of the prompt pass.</param>
/// <param name="StepParts">M2: micro-batches of a step.</param>
public readonly record struct ReplicaCost(
    int BatchSize, double Prefill, double Step, double Overhead, int PrefillParts, int StepParts)
{
    /// <summary>Where neighbours on the same processor were measured to slow it down by more than their share; null: by
    /// their share. The times are those of a replica that is almost alone.</summary>
    public NeighbourSlowing? Slowing { get; init; }

    /// <summary>l_exe(S_out | S_in): from the start of a request to its last token.</summary>
    public double Execution(int outputTokens) => Prefill + (outputTokens * Step) + Overhead;

    /// <summary>Requests per second of one replica that always has a full batch: B / l_exe.</summary>
    public double Throughput(int outputTokens) => BatchSize / Execution(outputTokens);
}

/// <summary>How fast a replica of some shape is. Pure: equal questions get equal answers.</summary>
public interface ICostModel
{
    /// <summary>False when the model knows nothing of such replicas, e.g. a profile without that M.</summary>
    bool Knows(ReplicaShape shape);

    /// <summary>Times at this batch size with the best micro-batching.</summary>
    /// <param name="batch">At least 1.</param>
    ReplicaCost Cost(ReplicaShape shape, int batch, Workload load, Batching batching);
}
