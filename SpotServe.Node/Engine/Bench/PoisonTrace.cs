using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>A step in which the logits of one sequence are no numbers, because a token's weights are none.</summary>
internal static class PoisonTrace
{
    /// <summary>The sequence that has the token.</summary>
    public const int Culprit = 3;

    private const int PoisonToken = 7;

    /// <summary>Chunks that the step names; empty where it does not fail.</summary>
    public static int[] Run(Device device, BenchShape shape, Numerics numerics, int batch)
    {
        using var engines = new TorchEngines(
            shape.Spec(ElementType.BFloat16), shape.Config(), new PoisonedWeights(), device, numerics: numerics);
        using var replica = new InProcessReplica(
            assignment => engines.Load(assignment, null, default), Layout.EvenStages(shape.Layers, 1, 1), 1,
            new ReplicaBounds(batch, batch, batch));
        var plan = new StepPlan();
        plan.Clear(1);
        for (var i = 0; i < batch; i++)
        {
            // Greedy and not: the device draws both, and must tell both.
            var sampling = new SamplingParameters(i % 2, 1, 0, 5);
            plan.Add(0, [i == Culprit ? PoisonToken : PoisonToken + 1 + i], [i], samples: true, sampling);
        }

        try
        {
            replica.Step(plan);
            return [];
        }
        catch (StepFailedException error)
        {
            return [.. error.Failure.Faults.Select(fault => fault.Chunk)];
        }
    }

    /// <summary>One token's embedding begins with a value that is no number.</summary>
    private sealed unsafe class PoisonedWeights : MadeWeights
    {
        private const ushort NotANumber = 0x7FC0;

        public override void Read(
            string name, IReadOnlyList<long> shape, Rectangle part, void* destination, ElementType type,
            Action<long> onBytes, CancellationToken cancel)
        {
            base.Read(name, shape, part, destination, type, onBytes, cancel);
            var isIn = PoisonToken >= part.Rows.First && PoisonToken < part.Rows.End && part.Columns.First == 0;
            if (!name.Contains("embed", StringComparison.Ordinal) || !isIn) return;
            ((ushort*)destination)[(PoisonToken - part.Rows.First) * part.Columns.Count] = NotANumber;
        }
    }
}
