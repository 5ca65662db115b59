using System.Collections.Immutable;
using System.CommandLine;
using System.Diagnostics;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;
using static SpotServe.Seed.Commands.Simulating.PaperReport;
using static SpotServe.Seed.Commands.Simulating.ReportBlock;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>What spot would cost, and what latency it would give: our way to serve on pools of machines, on each pool
/// alone, and on on-demand machines only.</summary>
internal static class FleetReport
{
    private const int HoursMax = 24 * 366;

    /// <param name="progress">Hears which run is how far; null for nobody.</param>
    public static Report Make(ParseResult result, Action<string>? progress)
    {
        var usual = Usual(result);
        var flags = (result.GetValue(FleetFlags.Availability) ?? [])
            .Select((text, i) => PoolFlag.Read(text, i, usual)).ToList();
        var scale = FleetFlags.Get(result, FleetFlags.Scale, 1, 16_384);
        var pools = flags.ConvertAll(flag => flag.Pool with { Scale = scale });
        var hours = FleetFlags.Get(result, FleetFlags.Hours, 0, HoursMax);
        var end = hours > 0 ? hours * 3600 : pools.Max(pool => pool.Offered.EndSeconds);
        if (end > HoursMax * 3600)
        {
            throw new PlanningInputException(
                "The machines' data in hours", end / 3600, $"at most {HoursMax}; take a part of it with --hours");
        }

        var (arrivals, notes) = Requests(result, end);
        var slo = FleetFlags.Get(result, FleetFlags.SloSeconds, 0.001, 1e6);
        var setup = Setup(result, arrivals, slo, OfferOf(result, flags, usual));
        var (runs, fleets) = (new List<SimulationOutcome>(), new List<SimulatedFleet>());
        foreach (var fleet in Fleets(result, pools, end))
        {
            var (name, machines) = (fleet.Name, fleet.Machines);
            if (machines.Changes[0].Added.IsEmpty && machines.Changes.Length == 1) continue;
            fleets.Add(fleet);
            var watch = Stopwatch.StartNew();
            var played = setup(name, machines);
            runs.Add(LiveSimulation.Run(
                played, machines, arrivals,
                progress is null ? null : at => progress($"{name}: {at / end:P0}")));
            if (runs.Count == 1 && runs[0].Reconfigurations.IsEmpty) RequireLayout(played, machines);
            // Of this machine, so not of the report, which is the same everywhere.
            progress?.Invoke(FormattableString.Invariant(
                $"{name}: {runs[^1].Events} events in {watch.Elapsed.TotalSeconds:0.0} s, ")
                + $"{Sizes.Text(Environment.WorkingSet)} in use");
        }

        if (runs.Count == 0) throw new PlanningInputException("The machines", "none at any time", "at least one");
        return new Report("What spot would cost", [
            new Text(
                $"{arrivals.Length} requests over {Number(end / 3600, "0.##")} h, target {Number(slo, "0.###")} s."),
            .. notes.Concat(pools.SelectMany(pool => pool.Offered.Notes)).Select(note => new Text(note)),
            new Heading("Latency, seconds"), Latencies(runs, slo), new Heading("Cost and changes"), Costs(runs),
            new Heading("Figures"), .. FleetFigures.Of([.. runs.Zip(fleets)])]);
    }

    /// <summary>Nothing ever served: says why, if the most machines that ever were there are too few or too
    /// small.</summary>
    private static void RequireLayout(LiveSetup setup, Availability fleet)
    {
        var (present, most) = (new HashSet<string>(), Array.Empty<string>());
        foreach (var change in fleet.Changes)
        {
            present.ExceptWith(change.Removed);
            present.UnionWith(change.Added);
            if (present.Count > most.Length) most = [.. present];
        }

        var options = new SearchOptions
        {
            BatchSizes = [setup.Planner.SequencesMax],
            MigrationBufferBytes = setup.Planner.WorkingBytes,
        };
        new LayoutSearch(new SliceGeometry(setup.Model), setup.Cost, options).Run(
            [
                .. most.Select(machine => (machine, Offer: setup.OfferOf(machine)))
                    .Select(one => new Instance(one.machine, one.Offer.Kind, one.Offer.Devices)),
            ],
            new Workload(setup.RateAtStart ?? 0, setup.PromptTokens, setup.OutputTokens));
    }

    private static IEnumerable<SimulatedFleet> Fleets(ParseResult result, List<Pool> pools, double end)
    {
        var wanted = FleetFlags.Get(result, FleetFlags.Machines, 1, 16_384);
        var launch = FleetFlags.Get(result, FleetFlags.Launch, 0, 86_400);
        var onDemand = FleetFlags.Get(result, FleetFlags.OnDemand, 0, 16_384);
        var all = pools.Count > 1 ? "all pools" : pools[0].Name;
        foreach (var floor in FleetFlags.Floors(result))
        {
            var (name, label) = floor > 0 ? ($"{all}, at least {floor}", $"at least {floor}") : (all, "spot alone");
            yield return new SimulatedFleet(
                name, FleetKind.Pools, label, Until(Pools.Spread(pools, wanted, floor, launch), end));
        }

        if (pools.Count > 1)
        {
            foreach (var pool in pools)
            {
                yield return new SimulatedFleet(
                    pool.Name, FleetKind.Pool, null, Until(Pools.Spread([pool], wanted, 0, launch), end));
            }
        }

        if (onDemand == 0) yield break;
        var stay = Enumerable.Range(0, onDemand)
            .Select(i => FormattableString.Invariant($"{Pools.OnDemand}/{i}"));
        yield return new SimulatedFleet(
            $"{onDemand} on-demand machines", FleetKind.OnDemand, null,
            new Availability("on-demand", [new FleetChange(0, [.. stay], [])], end, []));
    }

    private static Availability Until(Availability fleet, double end) => fleet with
    {
        Changes = [.. fleet.Changes.Where(change => change.Seconds < end)],
        EndSeconds = end,
    };

    private static (ImmutableArray<Arrival> Arrivals, ImmutableArray<string> Notes) Requests(
        ParseResult result, double end)
    {
        if (result.GetValue(FleetFlags.Arrivals) is not { } path)
        {
            return (ArrivalGenerator.Gamma(
                FleetFlags.Get(result, FleetFlags.Rate, 0.000_001, 100_000),
                FleetFlags.Get(result, FleetFlags.Variation, 0, 100), end,
                FleetFlags.Get(result, FleetFlags.Prompt, 1, 1 << 20),
                FleetFlags.Get(result, FleetFlags.Output, 1, 1 << 20),
                FleetFlags.Get(result, FleetFlags.Seed, 0, int.MaxValue)), []);
        }

        var (all, notes) = ArrivalReader.Read(path, PaperFiles.Text(path));
        var every = FleetFlags.Get(result, FleetFlags.Every, 1, 1_000_000);
        ImmutableArray<Arrival> arrivals = [.. all.Where((_, i) => i % every == 0)];
        if (arrivals.IsEmpty || !result.GetValue(FleetFlags.Repeat)) return (arrivals, notes);
        var round = arrivals[^1].Seconds + 1;
        return ([
            .. Enumerable.Range(0, (int)Math.Ceiling(end / round)).SelectMany(i =>
                arrivals.Select(arrival => arrival with { Seconds = arrival.Seconds + (i * round) }))], notes);
    }

    /// <summary>Machines of pools that say nothing of their own.</summary>
    private static MachineOffer Usual(ParseResult result)
    {
        var (kind, devices) = PoolFlag.Machine(result.GetValue(FleetFlags.Machine)!);
        return new MachineOffer(
            "spot", kind, devices, FleetFlags.Get(result, FleetFlags.SpotPrice, 0, 1e6), IsSpot: true,
            FleetFlags.Get(result, FleetFlags.Notice, 0, 86_400));
    }

    private static Func<string, MachineOffer> OfferOf(ParseResult result, List<PoolFlag> pools, MachineOffer usual)
    {
        var onDemand = usual with
        {
            Name = Pools.OnDemand,
            PricePerHour = FleetFlags.Get(result, FleetFlags.OnDemandPrice, 0, 1e6),
            IsSpot = false,
            NoticeSeconds = 30,
        };
        var offers = pools.ToDictionary(pool => pool.Offer.Name, pool => pool.Offer);
        offers.Add(onDemand.Name, onDemand);
        return machine => offers[Pools.PoolOf(machine)];
    }

    private static Func<string, Availability, LiveSetup> Setup(
        ParseResult result, ImmutableArray<Arrival> arrivals, double slo, Func<string, MachineOffer> offerOf)
    {
        if (arrivals.IsEmpty) throw new PlanningInputException("The requests", "none", "at least one");
        var name = result.GetValue(FleetFlags.Model)!;
        var model = PlanRequestBuilder.Model(name.EndsWith(".json", StringComparison.Ordinal)
            ? new PlanModel { Config = name }
            : new PlanModel { Preset = name });
        var profile = result.GetValue(FleetFlags.Profile) is { } path
            ? ProfileTable.Parse(path, PaperFiles.Text(path))
            : null;
        const double BytesPerGbit = 1e9 / 8;
        var network = FleetFlags.Get(result, FleetFlags.Network, 0.001, 1e6) * BytesPerGbit;
        var disk = FleetFlags.Get(result, FleetFlags.Disk, 0.001, 1e6) * BytesPerGbit;
        var links = new LinkRates(Math.Max(network, 6e9), network, disk, 0, 0.0002);
        ICostModel cost = profile is null
            ? new RooflineCostModel(new SliceGeometry(model), links)
            : new ProfileCostModel(profile);
        return (policy, fleet) => new LiveSetup(policy, model, cost, links, offerOf)
        {
            PromptTokens = (int)Math.Max(1, arrivals.Average(arrival => arrival.PromptTokens)),
            OutputTokens = (int)Math.Max(1, arrivals.Average(arrival => arrival.OutputTokens)),
            RateAtStart = arrivals.Length / Math.Max(1, arrivals[^1].Seconds),
            IdleBeatSeconds = FleetFlags.Get(result, FleetFlags.Beat, 0.1, 600),
            Planner = new PlannerOptions
            {
                Objective = new LayoutObjective(ObjectiveOf(result)) { SloTarget = TimeSpan.FromSeconds(slo) },
                Links = links,
                Profile = profile,
                Stated = new SourceRates(network, disk),
                SequencesMax = FleetFlags.Get(result, FleetFlags.Sequences, 1, 1024),
                DevicesExpected = Math.Max(
                    1, fleet.Changes[0].Added.Sum(machine => offerOf(machine).Devices)),
            },
        };
    }

    private static Objective ObjectiveOf(ParseResult result) => result.GetValue(FleetFlags.Objective) switch
    {
        "latency" => Objective.Latency,
        "throughput" => Objective.Throughput,
        "slo" => Objective.Slo,
        var other => throw new PlanningInputException("--objective", other, "latency, throughput or slo"),
    };

    private static Table Latencies(List<SimulationOutcome> runs, double slo) => new(
        ["Fleet", "Arrived", "Completed", "Average", "P50", "P90", "P95", "P99", "In target", "Requests/s"],
        [
            .. runs.Select(run => Cells(
                run.Policy, $"{run.Arrived}", $"{run.Completed.Length}", Number(run.Latency.Average, "0.00"),
                Number(run.Latency.P50, "0.00"), Number(run.Latency.P90, "0.00"), Number(run.Latency.P95, "0.00"),
                Number(run.Latency.P99, "0.00"), Number(run.Attainment(slo) * 100, "0.00") + " %",
                Number(run.Throughput, "0.000"))),
        ]);

    private static Table Costs(List<SimulationOutcome> runs) => new(
        ["Fleet", "$ in all", "$ an hour", "$ a million tokens", "Changes", "Pause, s", "Recomputed", "Moved"],
        [
            .. runs.Select(run => Cells(
                run.Policy, Number(run.Cost, "0.00"), Number(run.CostPerHour, "0.000"),
                run.CostPerMillionTokens is { } cost ? Number(cost, "0.00") : "-", $"{run.Reconfigurations.Length}",
                Number(run.PauseSeconds, "0.0"), $"{run.TokensRecomputed}", Sizes.Text(run.MovedBytes))),
        ]);
}
