using System.Collections.Immutable;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>The paper's models and machines served our way: continuous batching, the live planner's core, no restart of
/// an engine.</summary>
public static class OurMode
{
    /// <summary>What copies while it serves, and needs no notice to lose nothing but time.</summary>
    public const string Ours = "ours";

    /// <summary>The same, but it stops before anything moves, as the paper does.</summary>
    public const string StopFirst = "ours, stopping first";

    /// <summary>Sequences of a replica at once.</summary>
    private const int SequencesMax = 8;

    /// <param name="policy"><see cref="Ours"/> or <see cref="StopFirst"/>.</param>
    /// <param name="noticeSeconds">Before a machine goes; 0 takes it without notice.</param>
    /// <param name="drains">Whether what is open at the trace's end is finished and counted.</param>
    public static SimulationOutcome Run(
        PaperModel model,
        Availability availability,
        IReadOnlyList<Arrival> arrivals,
        PaperAssumptions assumed,
        string policy = Ours,
        double noticeSeconds = 30,
        bool drains = false) =>
        new LiveRun(Setup(model, availability, assumed, policy, noticeSeconds) with { Drains = drains })
            .Run(availability, arrivals);

    /// <summary>The paper's policies on any machines and requests, one outcome each.</summary>
    public static ImmutableArray<SimulationOutcome> PaperPolicies(
        PaperModel model, Availability availability, IReadOnlyList<Arrival> arrivals, PaperAssumptions assumed) =>
    [
        new ReparallelizationRun(model, assumed).Run(availability, arrivals),
        new ReroutingRun(model, assumed).Run(availability, arrivals),
        new SpotServeRun(model, assumed, SpotServeParts.All).Run(availability, arrivals),
    ];

    private static LiveSetup Setup(
        PaperModel model, Availability availability, PaperAssumptions assumed, string policy, double noticeSeconds)
    {
        var links = LinkRates.Paper with { Disk = assumed.StorageBytesPerSecond };
        var offer = new MachineOffer(
            "spot", PaperMachine.Device, PaperModel.DevicesEach, PaperMachine.SpotPrice, IsSpot: true, noticeSeconds);
        return new LiveSetup(
            policy, model.Shape.ToModelSpec(), new ProfileCostModel(model.Profile), links, _ => offer)
        {
            RateAtStart = model.Rate,
            Planner = new PlannerOptions
            {
                Objective = new LayoutObjective(Objective.Latency),
                Mode = policy == StopFirst ? MigrationMode.StopThenMigrate : MigrationMode.CopyWhileServing,
                Links = links,
                Profile = model.Profile,
                Stated = new SourceRates(links.InterNode, links.Disk),
                SequencesMax = SequencesMax,
                DevicesExpected = Math.Max(1, availability.Changes[0].Added.Length * PaperModel.DevicesEach),
            },
        };
    }
}
