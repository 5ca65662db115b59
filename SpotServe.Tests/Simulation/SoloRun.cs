using System.Collections.Immutable;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Simulation;

/// <summary>What a request gets alone, on one device, undisturbed.</summary>
internal static class SoloRun
{
    public static ImmutableArray<int> Generate(
        ModelSpec model, ImmutableArray<int> prompt, int count, SamplingParameters sampling)
    {
        var total = prompt.Length + count;
        var pages = Enumerable.Range(0, KvPage.Count(total)).ToArray();
        var assignment = new StageAssignment(
            new Epoch(1), new Position(0, 0, 0), new LayerRange(0, model.LayerCount), 1, 1, pages.Length, total, 1);
        using var engine = new FakeStageEngine(assignment, model);
        List<int> tokens = [.. prompt];
        var plan = new StepPlan();
        var sampled = new int[1];
        var cached = 0;
        for (var step = 1; step <= count; step++)
        {
            plan.Clear(step);
            plan.Add(
                cached,
                System.Runtime.InteropServices.CollectionsMarshal.AsSpan(tokens)[cached..],
                pages.AsSpan(0, KvPage.Count(tokens.Count)),
                samples: true,
                sampling);
            FakeStageEngine.StepTogether([engine], plan, sampled);
            cached = tokens.Count;
            tokens.Add(sampled[0]);
        }

        return [.. tokens.Skip(prompt.Length)];
    }
}
