using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>A recording, and what the simulation made of the same machines and requests.</summary>
/// <param name="Notes">What a reader has to know of the recording.</param>
public sealed record ReplayOutcome(
    double Seconds, ReplaySide Recorded, ReplaySide Simulated, ImmutableArray<string> Notes)
{
    /// <summary>What each simulated decision was made from.</summary>
    public ImmutableArray<PlanningInputs> Inputs { get; init; } = [];

    /// <summary>The first decision that places a layout of the same shape on other devices; null when none does. What
    /// follows it starts from other holdings and is not to be compared.</summary>
    public PlacementDifference? FirstPlacement
    {
        get
        {
            for (var i = 0; i < Math.Min(Recorded.Layouts.Length, Inputs.Length); i++)
            {
                var (live, here) = (Recorded.Layouts[i], Simulated.Layouts[i]);
                if (live.IsSameAs(here)) continue;
                if (live.Degrees != here.Degrees || !live.StageLayers.SequenceEqual(here.StageLayers)) return null;
                return new PlacementDifference(
                    i + 1, WeightBytes(Inputs[i], live), WeightBytes(Inputs[i], here),
                    Inputs[i].Caches.Sum(cache => cache.PageTokens));
            }

            return null;
        }
    }

    /// <summary>Whether the planner decided the same layouts, device for device, in the same order.</summary>
    public bool HasSameLayouts => Recorded.Layouts.Length == Simulated.Layouts.Length
        && Recorded.Layouts.Zip(Simulated.Layouts).All(pair => pair.First.IsSameAs(pair.Second));

    /// <summary>Whether the decided layouts have the same degrees and stages, in the same order, wherever their
    /// positions lie.</summary>
    public bool HasSameShapes => Recorded.Layouts.Length == Simulated.Layouts.Length
        && Recorded.Layouts.Zip(Simulated.Layouts).All(pair => pair.First.Degrees == pair.Second.Degrees
            && pair.First.StageLayers.SequenceEqual(pair.Second.StageLayers));

    /// <summary>The first decision that is another one here, for a person; null when there is none.</summary>
    public string? FirstDifference
    {
        get
        {
            for (var i = 0; i < Math.Max(Recorded.Layouts.Length, Simulated.Layouts.Length); i++)
            {
                var (live, here) = (Recorded.Layouts.ElementAtOrDefault(i), Simulated.Layouts.ElementAtOrDefault(i));
                if (live is null || here is null || !live.IsSameAs(here))
                    return $"decision {i + 1}: live {Text(live)}, simulated {Text(here)}";
            }

            return null;
        }
    }

    /// <summary>Whether as many changes of the same kinds were made, in the same order.</summary>
    public bool HasSameChanges => Recorded.Changes.Select(Kind).SequenceEqual(Simulated.Changes.Select(Kind));

    /// <summary>What a change was for and led to, e.g. "loss (1,4,1) to (1,3,1)".</summary>
    public static string Kind(ReconfigurationRecord change)
    {
        ArgumentNullException.ThrowIfNull(change);
        var why = change switch
        {
            { From: null } => "start",
            { Gone: var gone } when gone.Any(node => node.By is not (NoticedBy.Notice or NoticedBy.Operator)) => "loss",
            { Gone.IsEmpty: false } => "notice",
            { Cause: var cause } when cause.Contains(" joined", StringComparison.Ordinal) => "join",
            _ => "choice",
        };
        return $"{why} {change.From?.ToString() ?? "nothing"} to {change.To}";
    }

    /// <summary>Weights that a placement finds where they are.</summary>
    private static long WeightBytes(PlanningInputs inputs, Layout layout) => DeviceMapper.ReusedBytes(
        new MappingProblem(
            new SliceGeometry(inputs.Model), layout.Degrees, layout.StageLayers, [], inputs.Instances,
            inputs.Holdings, CacheInheritance.None),
        layout.Placement);

    private static string Text(Layout? layout) => layout is null
        ? "none"
        : $"{layout.Degrees} on {string.Join(' ', layout.Placement)}";
}

/// <summary>Two placements of one layout.</summary>
/// <param name="Decision">Its number, from 1.</param>
/// <param name="LiveWeightBytes">Weights that the live placement finds where they are, on the simulated
/// devices.</param>
/// <param name="SimulatedWeightBytes">The same of the simulated one.</param>
/// <param name="PageTokens">Tokens in pages that were simulated at that instant; live there were others.</param>
public sealed record PlacementDifference(
    int Decision, long LiveWeightBytes, long SimulatedWeightBytes, long PageTokens);

/// <param name="Completed">Requests that were answered, in the order of arrival.</param>
/// <param name="Tokens">That they were answered with.</param>
/// <param name="Layouts">Every decision, in order.</param>
/// <param name="Changes">Those after which a layout served.</param>
public sealed record ReplaySide(
    ImmutableArray<CompletedRequest> Completed,
    long Tokens,
    ImmutableArray<Layout> Layouts,
    ImmutableArray<ReconfigurationRecord> Changes)
{
    public LatencySummary Latency => LatencySummary.Of(Completed.Select(request => request.Latency));
}
