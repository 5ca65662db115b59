namespace SpotServe.Actors.Planning;

/// <summary>What the planner was asked cannot be planned. Each kind of impossible input has its own subtype, and every
/// message says what was wrong, with the values, and what to change.</summary>
public abstract class PlanningException(string message) : Exception(message);

/// <summary>An input is not a usable number or name: NaN rate, negative bandwidth, zero layers, an empty
/// name.</summary>
public sealed class PlanningInputException(string what, object? value, string expected)
    : PlanningException($"{what} is {value ?? "missing"}; it must be {expected}.")
{
    public string What { get; } = what;

    /// <summary>The same about what stands in a file.</summary>
    public PlanningInputException In(string file) => new($"{file}: {What}", value, expected);
}

/// <summary>There is no device to place anything on.</summary>
public sealed class NoDevicesException()
    : PlanningException("No device is available to plan for. Start an instance, or wait for one to join.");

/// <summary>Two things that must differ have the same name.</summary>
public sealed class DuplicateIdException(string kind, string id)
    : PlanningException($"The {kind} {id} is named twice. Give each {kind} its own name.")
{
    public string Id { get; } = id;
}

/// <summary>The model's heads cannot be cut into this many equal ranks.</summary>
internal sealed class RankCountException(int ranks, int headCount)
    : PlanningException(
        $"{headCount} attention heads cannot be cut into {ranks} equal tensor ranks. "
        + $"Choose M among the divisors of {headCount} (at most 64).");

/// <summary>No layout fits into the devices' memory.</summary>
/// <param name="needBytes">Bytes per device of the layout that comes closest.</param>
/// <param name="haveBytes">Bytes of the device that is too small.</param>
internal sealed class MemoryShortException(string detail, long needBytes, long haveBytes)
    : PlanningException(
        $"No layout fits: {detail} It needs {Sizes.Text(needBytes)} per device, {Sizes.Text(haveBytes)} "
        + $"are there: short by {Sizes.Text(needBytes - haveBytes)}. Add devices, or choose larger ones.")
{
    public long ShortBytes { get; } = needBytes - haveBytes;
}

/// <summary>Enough memory, yet no combination of D, P, M and B can be placed on these devices.</summary>
internal sealed class NoLayoutException(string why)
    : PlanningException($"No layout can be placed: {why}");

/// <summary>A slice that the new layout needs is held by nobody who can still send it.</summary>
internal sealed class SourceLostException(string slice, DeviceId destination)
    : PlanningException(
        $"{slice}, needed on {destination}, is held by no device that can send it in time, and neither a local disk "
        + "nor a model store was given. Name a model store, so that it can be loaded again.");

/// <summary>No order of transfers and frees was found that keeps a device within its memory: ADR 0012 says how far
/// the search goes.</summary>
internal sealed class MigrationMemoryException(DeviceId device, long needBytes, long budgetBytes, string detail)
    : PlanningException(
        $"No order of the migration was found to fit: {detail} {device} would need {Sizes.Text(needBytes)}, its budget "
        + $"is {Sizes.Text(budgetBytes)}: short by {Sizes.Text(needBytes - budgetBytes)}.")
{
    public DeviceId Device { get; } = device;

    public long ShortBytes { get; } = needBytes - budgetBytes;
}

/// <summary>Checks of the planner's inputs, shared so that every entry point refuses the same things alike.</summary>
internal static class Inputs
{
    public static double Positive(double value, string what) =>
        double.IsFinite(value) && value > 0 ? value : throw new PlanningInputException(what, value, "a number above 0");

    public static double NotNegative(double value, string what) =>
        double.IsFinite(value) && value >= 0
            ? value
            : throw new PlanningInputException(what, value, "a number of 0 or more");

    public static long AtLeast(long value, long least, string what) =>
        value >= least ? value : throw new PlanningInputException(what, value, $"at least {least}");

    public static long Between(long value, long least, long most, string what) =>
        value >= least && value <= most ? value : throw new PlanningInputException(what, value, $"{least} to {most}");

    public static void Distinct<T>(IEnumerable<T> ids, string kind)
    {
        var seen = new HashSet<T>();
        foreach (var id in ids)
        {
            if (!seen.Add(id)) throw new DuplicateIdException(kind, id?.ToString() ?? "");
        }
    }
}
