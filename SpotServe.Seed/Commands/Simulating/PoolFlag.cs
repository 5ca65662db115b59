using System.Globalization;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>A pool as it is asked for: FILE, or FILE:machine=8xA100,price=9.8,notice=0 where it differs from the
/// others.</summary>
/// <param name="Offer">Of its machines.</param>
internal sealed record PoolFlag(Pool Pool, MachineOffer Offer)
{
    private const int DevicesMax = 64;

    /// <param name="index">Makes its name its own.</param>
    /// <param name="usual">What it does not say.</param>
    /// <exception cref="PlanningInputException">An entry is not known or out of range; names it.</exception>
    public static PoolFlag Read(string text, int index, MachineOffer usual)
    {
        var (path, entries) = Split(text);
        var name = FormattableString.Invariant($"{index}-{Path.GetFileNameWithoutExtension(path)}");
        var offer = usual with { Name = name };
        foreach (var entry in entries)
        {
            var parts = entry.Split('=', 2);
            offer = (parts.Length == 2 ? parts[0] : "") switch
            {
                "price" => offer with { PricePerHour = Number(entry, parts[1], 1e6) },
                "notice" => offer with { NoticeSeconds = Number(entry, parts[1], 86_400) },
                "machine" when Machine(parts[1]) is var (kind, devices) =>
                    offer with { Kind = kind, Devices = devices },
                _ => throw new PlanningInputException("--availability " + path, entry, "price=, notice= or machine="),
            };
        }

        var read = AvailabilityReader.Read(path, PaperFiles.Text(path));
        return new PoolFlag(new Pool(name, read) { PricePerHour = offer.PricePerHour }, offer);
    }

    /// <exception cref="PlanningInputException">It is not like 4xA10G, or the kind is not known.</exception>
    public static (DeviceKind Kind, int Devices) Machine(string machine)
    {
        var parts = machine.Split('x', 2);
        return parts.Length == 2 && int.TryParse(parts[0], out var devices) && devices is >= 1 and <= DevicesMax
            ? (PlanRequestBuilder.Kind(new PlanDescription(), parts[1]), devices)
            : throw new PlanningInputException("--machine", machine, "DEVICESxKIND, e.g. 4xA10G");
    }

    /// <summary>What follows the last colon is of the pool when it has an equals sign, else of the path.</summary>
    private static (string Path, string[] Entries) Split(string text)
    {
        var colon = text.LastIndexOf(':');
        return colon > 0 && text.IndexOf('=', colon) > 0
            ? (text[..colon], text[(colon + 1)..].Split(','))
            : (text, []);
    }

    private static double Number(string entry, string value, double most) =>
        double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            && number >= 0 && number <= most
            ? number
            : throw new PlanningInputException("--availability", entry, FormattableString.Invariant($"0 to {most}"));
}
