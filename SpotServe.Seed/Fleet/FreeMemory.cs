using System.Globalization;

namespace SpotServe.Seed.Fleet;

/// <summary>Memory that processes can still get on this machine, or in this container.</summary>
internal static class FreeMemory
{
    private const string ControlGroup = "/sys/fs/cgroup";

    /// <summary>Bytes that the system has for new processes, and no more than the container's limit leaves.</summary>
    public static long Read()
    {
        var machine = Field("/proc/meminfo", "MemAvailable:") is { } kilobytes
            ? kilobytes * 1024
            : GC.GetGCMemoryInfo().TotalAvailableMemoryBytes - GC.GetGCMemoryInfo().MemoryLoadBytes;
        return Math.Max(0, Math.Min(machine, InContainer() ?? long.MaxValue));
    }

    private static long? InContainer()
    {
        if (Number($"{ControlGroup}/memory.max") is not { } max) return null;
        var used = Number($"{ControlGroup}/memory.current") ?? 0;
        // Pages of files that the system drops as soon as somebody needs the room.
        var droppable = Field($"{ControlGroup}/memory.stat", "inactive_file") ?? 0;
        return max - Math.Max(0, used - droppable);
    }

    private static long? Number(string path) =>
        Lines(path).FirstOrDefault() is { } line && Parse(line) is { } value ? value : null;

    private static long? Field(string path, string name) => Lines(path)
        .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        .FirstOrDefault(words => words.Length > 1 && words[0] == name) is { } found ? Parse(found[1]) : null;

    private static string[] Lines(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllLines(path) : [];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static long? Parse(string text) =>
        long.TryParse(text.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : null;
}
