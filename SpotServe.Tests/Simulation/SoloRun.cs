using System.Collections.Immutable;
using SpotServe.Actors.Execution;

namespace SpotServe.Tests.Simulation;

/// <summary>What a request gets alone, on one device, undisturbed.</summary>
internal static class SoloRun
{
    public static ImmutableArray<int> Generate(
        ModelSpec model, ImmutableArray<int> prompt, int count, SamplingParameters sampling) =>
        Run(model, prompt, new GenerationParameters(count, sampling, [])).Tokens;

    /// <summary>All that a request may generate; of stops it knows nothing.</summary>
    public static (
        ImmutableArray<int> Tokens, ImmutableArray<TokenLogprobs> Logprobs, ImmutableArray<TokenLogprobs> Prompt) Run(
        ModelSpec model, ImmutableArray<int> prompt, GenerationParameters parameters)
    {
        var (count, sampling, _) = parameters;
        var total = prompt.Length + count;
        var pages = Enumerable.Range(0, KvPage.Count(total)).ToArray();
        var assignment = new StageAssignment(
            new Epoch(1), new Position(0, 0, 0), new LayerRange(0, model.LayerCount), 1, 1, pages.Length, total, 1);
        using var engine = new FakeStageEngine(assignment, model);
        List<int> tokens = [.. prompt];
        List<TokenLogprobs> logprobs = [];
        ImmutableArray<TokenLogprobs> scored = [];
        var plan = new StepPlan();
        var draws = new StepDraws();
        var cached = 0;
        for (var step = 1; step <= count; step++)
        {
            plan.Clear(step);
            plan.Add(
                cached,
                System.Runtime.InteropServices.CollectionsMarshal.AsSpan(tokens)[cached..],
                pages.AsSpan(0, KvPage.Count(tokens.Count)),
                samples: true,
                sampling,
                shape: Shape(parameters, prompt, tokens).ToArray(),
                scores: cached == 0 ? parameters.PromptLogprobs + 1 ?? 0 : 0);
            draws.Begin(plan);
            FakeStageEngine.StepTogether([engine], plan, draws);
            cached = tokens.Count;
            tokens.Add(draws.Tokens[0]);
            if (step == 1) scored = draws.ToResult(step).Scores;
            if (draws.Logprobs[0] is { } drawn) logprobs.Add(drawn);
        }

        return ([.. tokens.Skip(prompt.Length)], [.. logprobs], scored);
    }

    /// <summary>Counted anew for each token.</summary>
    private static List<int> Shape(
        GenerationParameters parameters, ImmutableArray<int> prompt, IReadOnlyCollection<int> tokens)
    {
        var shape = new List<int>();
        var generated = tokens.Skip(prompt.Length).ToArray();
        var seen = tokens.Distinct().ToDictionary(token => token, token => generated.Count(one => one == token));
        DrawShape.Write(shape, parameters.Penalties, parameters.TopLogprobs, seen, parameters.Biases.AsSpan());
        return shape;
    }
}
