using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>A kind of machine as a cloud offers it.</summary>
/// <param name="Name">E.g. a pool's: hours are paid by it.</param>
/// <param name="Kind">Of its devices.</param>
/// <param name="PricePerHour">Of the whole machine.</param>
/// <param name="NoticeSeconds">Before one is taken away; 0 takes it without notice.</param>
public sealed record MachineOffer(
    string Name, DeviceKind Kind, int Devices, double PricePerHour, bool IsSpot, double NoticeSeconds);

/// <summary>What is simulated of our own way to serve.</summary>
/// <param name="Model">That is served.</param>
/// <param name="Cost">How fast replicas really are; the planner estimates for itself and learns.</param>
/// <param name="Links">How fast weights and pages really move.</param>
/// <param name="OfferOf">Of a machine by its name.</param>
public sealed record LiveSetup(
    string Policy,
    ModelSpec Model,
    ICostModel Cost,
    LinkRates Links,
    Func<string, MachineOffer> OfferOf)
{
    /// <summary>Of the planner that runs live.</summary>
    public PlannerOptions Planner { get; init; } = new();

    /// <summary>Lengths that the cost model's times are for.</summary>
    public int PromptTokens { get; init; } = 512;

    public int OutputTokens { get; init; } = 128;

    /// <summary>What is asked for until so much has come that a rate can be told; null leaves the planner without one
    /// until then.</summary>
    public double? RateAtStart { get; init; }

    /// <summary>When the planner begins to wait for nodes.</summary>
    public double BeginSeconds { get; init; }

    /// <summary>From a process's end until its peers have told the planner.</summary>
    public double DetectionSeconds { get; init; } = 0.5;

    /// <summary>Connecting a layout's devices and starting its engines.</summary>
    public double ConnectSeconds { get; init; } = 0.2;

    /// <summary>Handing sequences over and the first step of the new layout, beside the pages' bytes.</summary>
    public double HandoverSeconds { get; init; } = 0.05;

    /// <summary>How often nodes report and the planner looks at the load while nothing is under way.</summary>
    public double IdleBeatSeconds { get; init; } = 1;

    /// <summary>Hears each decision with what it was made from; null for nobody.</summary>
    public Action<PlanningInputs, Layout>? Decided { get; init; }

    /// <summary>Whether the run goes on after the trace's end until all requests are done.</summary>
    public bool Drains { get; init; }
}
