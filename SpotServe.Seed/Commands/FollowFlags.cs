using System.CommandLine;
using System.Globalization;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Planner;

namespace SpotServe.Seed.Commands;

/// <summary>Options that say how quickly the layout follows the load.</summary>
internal sealed class FollowFlags
{
    private const double SecondsMax = 3600;
    private static readonly FollowOptions Usual = new();

    private Option<double> Window { get; } = new("--load-window")
    {
        Description = "Seconds over which the load is averaged, 1 to 3600.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => new GatewayOptions().LoadWindow.TotalSeconds,
    };

    private Option<double> Patience { get; } = new("--follow-after")
    {
        Description = "With an objective: another layout must be better for so many seconds, 0 to 3600.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => Usual.Patience.TotalSeconds,
    };

    private Option<double> Rest { get; } = new("--follow-rest")
    {
        Description = "With an objective: so many seconds after a change the load is not followed, 0 to 3600.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => Usual.RestAfterChange.TotalSeconds,
    };

    private Option<double> Memory { get; } = new("--load-memory")
    {
        Description = "With an objective: planned for is the highest load of so many seconds, 0 to 3600.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => Usual.Memory.TotalSeconds,
    };

    private Option<double> Headroom { get; } = new("--headroom")
    {
        Description = "With an objective: a layout must be able to serve this share more than the load, 0 to 10.",
        HelpName = "SHARE",
        DefaultValueFactory = _ => Usual.Headroom,
    };

    public void AddTo(Command command)
    {
        command.Options.Add(Headroom);
        command.Options.Add(Window);
        command.Options.Add(Memory);
        command.Options.Add(Patience);
        command.Options.Add(Rest);
    }

    /// <exception cref="UsageException">It is out of range.</exception>
    public TimeSpan ReadWindow(ParseResult parsed) => Seconds(parsed, Window, least: 1);

    /// <exception cref="UsageException">An option is out of range.</exception>
    public FollowOptions Read(ParseResult parsed) => new()
    {
        Headroom = Share(parsed, Headroom),
        Memory = Seconds(parsed, Memory, least: 0),
        Patience = Seconds(parsed, Patience, least: 0),
        RestAfterChange = Seconds(parsed, Rest, least: 0),
    };

    private static double Share(ParseResult parsed, Option<double> option) =>
        parsed.GetValue(option) is var share && share is >= 0 and <= FollowOptions.HeadroomMax
            ? share
            : throw new UsageException(string.Create(
                CultureInfo.InvariantCulture,
                $"{option.Name} is {share}; it must be 0 to {FollowOptions.HeadroomMax}."));

    private static TimeSpan Seconds(ParseResult parsed, Option<double> option, double least) =>
        parsed.GetValue(option) is var seconds && seconds >= least && seconds <= SecondsMax
            ? TimeSpan.FromSeconds(seconds)
            : throw new UsageException(string.Create(
                CultureInfo.InvariantCulture,
                $"{option.Name} is {seconds}; it must be {least} to {SecondsMax} seconds."));
}
