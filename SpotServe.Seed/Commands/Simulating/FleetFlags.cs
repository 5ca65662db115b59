using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>What a simulation of machines and requests of one's own is asked for.</summary>
internal static class FleetFlags
{
    public static readonly Option<string[]> Availability = new("--availability")
    {
        Description = "Files that say when how many spot machines were there; each is a pool of its own, which may "
            + "differ: FILE:machine=8xA100,price=9.8,notice=0",
        AllowMultipleArgumentsPerToken = true,
    };

    public static readonly Option<string?> Arrivals = new("--arrivals") { Description = "File of requests" };

    public static readonly Option<bool> Repeat = new("--repeat")
    {
        Description = "Play the requests again and again until the machines' data end",
    };

    public static readonly Option<int> Every = Count("--every", 1, "Take each N-th request of --arrivals only");

    public static readonly Option<string?> Profile = new("--profile")
    {
        Description = "Times that were measured for the model on these machines (JSON, as the paper's artifact has "
            + "them); without it they are estimated from the devices' rates",
    };

    public static readonly Option<double> Beat = Number(
        "--beat", 1, "Seconds between two looks of the planner at the load; more makes long runs quicker");

    public static readonly Option<double> Rate = Number("--rate", 1, "Requests per second without --arrivals");
    public static readonly Option<double> Variation = Number("--cv", 1, "Variation of the time between requests");
    public static readonly Option<int> Prompt = Count("--prompt", 512, "Tokens of a prompt without --arrivals");
    public static readonly Option<int> Output = Count("--output", 128, "Tokens of an output without --arrivals");
    public static readonly Option<int> Seed = Count("--seed", 1, "Of the requests without --arrivals");
    public static readonly Option<double> Hours = Number("--hours", 0, "Length of the run; 0 is all of the data");

    public static readonly Option<string> Model = new("--model")
    {
        Description = "A preset (gpt-20b, opt-6.7b, llama-7b, llama-30b, llama-70b) or the path of a config.json",
        DefaultValueFactory = _ => "llama-7b",
    };

    public static readonly Option<string> Machine = new("--machine")
    {
        Description = "DEVICESxKIND, e.g. 4xA10G (T4, V100, A10G, L4, A100, H100)",
        DefaultValueFactory = _ => "4xA10G",
    };

    public static readonly Option<int> Machines = Count("--machines", 4, "Spot machines that are taken at most");
    public static readonly Option<int> Scale = Count(
        "--scale", 1, "Machines that each one of the data stands for: a cloud's curves for a fleet of thousands");

    public static readonly Option<int[]> Floor = new("--floor")
    {
        Description = "Machines at least: on-demand ones fill up (0); of several numbers each is a fleet of its own",
        AllowMultipleArgumentsPerToken = true,
    };

    public static readonly Option<int> OnDemand = Count("--on-demand", 0, "On-demand machines to compare with");
    public static readonly Option<double> SpotPrice = Number("--spot-price", 1.5, "Dollars a machine and hour");
    public static readonly Option<double> OnDemandPrice = Number("--on-demand-price", 4, "Dollars a machine and hour");
    public static readonly Option<double> Notice = Number("--notice", 30, "Seconds before one goes; 0 is without");
    public static readonly Option<double> Launch = Number("--launch", 120, "Seconds until a new machine is ready");
    public static readonly Option<double> Network = Number("--network-gbits", 25, "Between machines");
    public static readonly Option<double> Disk = Number("--disk-gbits", 16, "From a machine's disk");
    public static readonly Option<int> Sequences = Count("--sequences", 32, "Sequences of a replica at once");

    public static readonly Option<string> Objective = new("--objective")
    {
        Description = "latency (default), throughput or slo",
        DefaultValueFactory = _ => "latency",
    };

    public static readonly Option<double> SloSeconds = Number("--slo-seconds", 30, "Latency target");

    public static IEnumerable<Option> All =>
    [
        Availability, Arrivals, Repeat, Every, Profile, Beat, Rate, Variation, Prompt, Output, Seed, Hours, Model,
        Machine, Machines, Scale, Floor, OnDemand, SpotPrice, OnDemandPrice, Notice, Launch, Network, Disk, Sequences,
        Objective, SloSeconds,
    ];

    /// <exception cref="PlanningInputException">The value is out of bounds; names the option.</exception>
    public static double Get(ParseResult result, Option<double> option, double least, double most) =>
        InRange(option, result.GetValue(option), least, most);

    /// <exception cref="PlanningInputException">The value is out of bounds; names the option.</exception>
    public static int Get(ParseResult result, Option<int> option, int least, int most) =>
        (int)InRange(option, result.GetValue(option), least, most);

    /// <exception cref="PlanningInputException">There are too many, or one is out of bounds.</exception>
    public static ImmutableArray<int> Floors(ParseResult result)
    {
        const int FloorsMax = 16;
        var floors = result.GetValue(Floor) is { Length: > 0 } asked ? asked : [0];
        if (floors.Length > FloorsMax)
            throw new PlanningInputException(Floor.Name, $"{floors.Length} numbers", $"at most {FloorsMax}");
        return [.. floors.Distinct().Select(floor => (int)InRange(Floor, floor, 0, 16_384))];
    }

    private static double InRange(Option option, double value, double least, double most) =>
        value >= least && value <= most
            ? value
            : throw new PlanningInputException(option.Name, value, FormattableString.Invariant($"{least} to {most}"));

    private static Option<double> Number(string name, double usual, string description) => new(name)
    {
        Description = description + usual.ToString("' ('0.###')'", CultureInfo.InvariantCulture),
        DefaultValueFactory = _ => usual,
    };

    private static Option<int> Count(string name, int usual, string description) => new(name)
    {
        Description = description + usual.ToString("' ('0')'", CultureInfo.InvariantCulture),
        DefaultValueFactory = _ => usual,
    };
}
