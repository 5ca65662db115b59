using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>What the gateways report of arrivals, and what the replicas make of them.</summary>
internal static class Demand
{
    /// <summary>Lengths that are planned for until somebody has asked for something.</summary>
    private const int TokensUsual = 128;

    /// <summary>Arrivals that vary less, where 1 is by chance, are even.</summary>
    private const double EvenUpTo = 0.1;

    /// <summary>Share of the rate of even arrivals that may be an error of measurement.</summary>
    private const double RateTolerance = 0.1;

    /// <summary>What varies more is one burst and silence around it, of which no mean can be told.</summary>
    private const double VariationMax = 4;

    /// <summary>Changes of corrections are written no more often than this.</summary>
    private static readonly TimeSpan RememberEvery = TimeSpan.FromMinutes(5);

    /// <summary>Smaller changes of a correction are noise.</summary>
    private const double RememberedChange = 0.1;

    /// <summary>A gateway that has not reported for this long is gone, and its share of the load is
    /// another's.</summary>
    private static readonly TimeSpan SilenceMax = TimeSpan.FromSeconds(5);

    public static void OnGatewayLoad(Turn turn, PlannerInputs.DemandReported report)
    {
        var demand = turn.State.Demand;
        // A gateway may report once more after it was heard to be gone.
        var silent = demand.Where(known => turn.Now - known.Value.At >= SilenceMax).Select(known => known.Key);
        turn.State = turn.State with
        {
            Demand = demand.RemoveRange(silent).SetItem(report.Gateway, (report.Demand, turn.Now)),
        };
        turn.State = turn.State with
        {
            LoadMemory = turn.State.LoadMemory.With(
                Of(turn.State, turn.Now), turn.Options.Follow.Memory, turn.Now),
        };
    }

    /// <summary>The load that layouts and machines are planned for.</summary>
    public static Workload Planned(PlannerState state, PlannerOptions options, DateTimeOffset now) =>
        state.LoadMemory.Planned(Of(state, now), options.Follow.Memory, now);

    /// <summary>The load of all gateways together.</summary>
    public static Workload Of(PlannerState state, DateTimeOffset now)
    {
        var reports = state.Demand.Values.Where(report => now - report.At < SilenceMax)
            .Select(report => report.Demand)
            .Where(demand => demand.RequestsPerSecond > 0)
            .ToList();
        var rate = reports.Sum(demand => demand.RequestsPerSecond);
        if (rate <= 0) return new Workload(0, TokensUsual, TokensUsual);
        var variation = Math.Clamp(Mean(demand => demand.ArrivalVariation), 0, VariationMax);
        // Clients that ask for one after the other take a moment between them, which is no variation, and ask as fast
        // as they are answered: their rate is what a replica can do, give or take what is measured wrong of both.
        var chance = Math.Clamp((variation - EvenUpTo) / (1 - EvenUpTo), 0, 1);
        return new Workload(
            rate * (1 - (RateTolerance * (1 - chance))),
            Tokens(demand => demand.PromptTokens),
            Tokens(demand => demand.OutputTokens),
            variation < 1 ? chance : variation);

        int Tokens(Func<GatewayDemand, double> tokens) => (int)Math.Clamp(Mean(tokens), 1, Workload.TokensMax);

        double Mean(Func<GatewayDemand, double> value) =>
            reports.Sum(demand => demand.RequestsPerSecond * value(demand)) / rate;
    }

    /// <summary>From what a replica reports: not published at once, because gateways register every second, and the
    /// view that answers them has it.</summary>
    public static void OnReplicaLoad(Turn turn, Replica.ReplicaControlProtocol.ReplicaLoad load)
    {
        if (turn.State.Active is not { } active || load.Epoch != active.Epoch) return;
        if (!active.Replicas.ContainsKey(load.Replica)) return;
        var before = active.Loads.GetValueOrDefault(load.Replica);
        turn.State = turn.State with
        {
            Active = active with
            {
                Loads = active.Loads.SetItem(load.Replica, LoadReport.After(before, load, turn.Now)),
            },
        };
        if (before is null || StepTimes.Learned(turn, before, load) is not { } learned) return;
        turn.State = turn.State with { Learned = learned };
        Remember(turn);
    }

    /// <summary>What another planner needs to know is written when it is new, and now and then when it has
    /// changed.</summary>
    private static void Remember(Turn turn)
    {
        var (journal, learned) = (turn.State.Journal, turn.State.Learned);
        var isNew = learned.ByShape.Length != journal.Corrections.ByShape.Length;
        var isDue = journal.LearnedAt is not { } at || turn.Now - at >= RememberEvery;
        if (!isNew && !(isDue && learned.DiffersFrom(journal.Corrections, RememberedChange))) return;
        turn.Note(new PlannerEvents.CostsLearned(journal.Epoch, turn.Now, learned));
    }
}
