using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Degrees with the layers of each stage.</summary>
/// <param name="StageKinds">D x P device kinds that the stages were cut for; empty when all devices are alike.</param>
/// <param name="Search">What was searched; null when the degrees follow from the devices or a wish alone.</param>
/// <param name="GainPerRequest">Seconds that each request takes less than in the present layout; 0 where that is not
/// the point.</param>
public sealed record SelectedLayout(
    LayoutDegrees Degrees,
    ImmutableArray<LayerRange> StageLayers,
    ImmutableArray<string> StageKinds,
    SearchResult? Search = null,
    double GainPerRequest = 0);

/// <summary>Which degrees a set of devices serves with: the ones that were asked for, else the best by the objective,
/// else one replica over all of them. The present ones are left only for what is better by a margin.</summary>
public static class LayoutSelection
{
    /// <exception cref="PlanningException">Nothing fits; the message says what is short.</exception>
    public static SelectedLayout Of(PlanningInputs inputs)
    {
        var model = inputs.Model;
        var devices = inputs.Counted.DeviceCount;
        if (devices == 0) throw new NoDevicesException();
        if (inputs.Wanted is { } wanted
            && LayoutConstraints.Violation(wanted, model.LayerCount, model.HeadCount, devices) is null)
        {
            return Fitted(inputs, wanted) ?? Even(wanted, model);
        }

        if (inputs.Search is { } options) return Best(inputs, options);
        var fills = LayoutConstraints.Single(model.LayerCount, model.HeadCount, devices, inputs.SequencesMax);
        return fills.Select(degrees => Fitted(inputs, degrees)).FirstOrDefault(fitted => fitted is not null)
            ?? (fills.Count > 0
                ? Even(fills[0], model)
                : throw new NoLayoutException($"no layout of {model.Name} fits {devices} devices"));
    }

    /// <summary>Stages as they come on these devices: in proportion to speed, within memory, for at least one full
    /// context. Null when the degrees do not fit so.</summary>
    private static SelectedLayout? Fitted(PlanningInputs inputs, LayoutDegrees degrees)
    {
        if (!inputs.Counted.IsMixed) return Even(degrees, inputs.Model);
        var context = Math.Max(2, inputs.Model.ContextMax);
        var search = new LayoutSearch(
            new SliceGeometry(inputs.Model),
            inputs.CostModel(),
            new SearchOptions { BatchSizes = [1], MigrationBufferBytes = inputs.WorkingBytes });
        return search.Evaluate(
            inputs.Counted,
            new Workload(0, context - (context / 2), context / 2),
            degrees with { BatchSize = 1 }) is { } candidate
                ? new SelectedLayout(degrees, candidate.StageLayers(), candidate.StageKinds())
                : null;
    }

    private static SelectedLayout Even(LayoutDegrees degrees, ModelSpec model) => new(
        degrees, Layout.EvenStages(model.LayerCount, degrees.Replicas, degrees.Stages), []);

    private static SelectedLayout Best(PlanningInputs inputs, SearchOptions options)
    {
        var search = new LayoutSearch(new SliceGeometry(inputs.Model), inputs.CostModel(), options);
        var found = search.Run(inputs.Counted, inputs.Load);
        var best = found.Chosen;
        var present = inputs.Serving is { } serving
            ? search.Evaluate(inputs.Counted, inputs.Load, serving.Layout.Degrees)
            : null;
        if (present is not null && !IsBetter(options, best, present, inputs.Load, inputs.Margin))
        {
            return Selected(inputs, present, found with
            {
                Chosen = present,
                SpareInstances = inputs.Instances.Length - present.InstanceCount,
            });
        }

        best = NearTies.LeastMoved(inputs, options, found);
        found = found with { Chosen = best, SpareInstances = inputs.Instances.Length - best.InstanceCount };
        var gain = present is null ? 0 : present.LatencySeconds - best.LatencySeconds;
        return Selected(inputs, best, found) with { GainPerRequest = Math.Max(0, gain) };
    }

    private static SelectedLayout Selected(PlanningInputs inputs, Candidate candidate, SearchResult search) => new(
        candidate.Degrees,
        candidate.StageLayers(),
        inputs.Counted.IsMixed ? candidate.StageKinds() : [],
        search);

    /// <summary>By more than the margin, so that estimates that waver move nothing.</summary>
    internal static bool IsBetter(
        SearchOptions options, Candidate best, Candidate present, Workload load, double margin)
    {
        if (best.Degrees == present.Degrees) return false;
        var toServe = options.RateToServe(load);
        var (serves, served) = (best.Throughput >= toServe, present.Throughput >= toServe);
        return options.Objective switch
        {
            Objective.Throughput => best.Throughput > present.Throughput * (1 + margin),
            _ when !served => best.Throughput > present.Throughput * (1 + margin),
            Objective.Latency => serves && (best.LatencySeconds * (1 + margin) < present.LatencySeconds
                || IsCheaper(best.LatencySeconds <= present.LatencySeconds * (1 + (margin / 2)))),
            Objective.Slo => serves && (best.InTargetProbability >= options.SloProbability) switch
            {
                true when present.InTargetProbability < options.SloProbability => true,
                var meets => IsCheaper(meets),
            },
            _ => throw new System.Diagnostics.UnreachableException(),
        };

        bool IsCheaper(bool isGoodEnough) => isGoodEnough && Price(best) * (1 + margin) < Price(present);

        // Without prices an instance costs what any other does.
        double Price(Candidate candidate) =>
            present.CostPerHour > 0 ? candidate.CostPerHour : candidate.InstanceCount;
    }
}
