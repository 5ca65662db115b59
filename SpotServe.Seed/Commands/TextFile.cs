using SpotServe.Actors.Hosting;

namespace SpotServe.Seed.Commands;

/// <summary>Reads what an option names a file for, because a command line can be read by everybody.</summary>
internal static class TextFile
{
    private const int BytesMax = 64 << 10;
    private const int LinesBytesMax = 1 << 20;

    /// <summary>The first line of a file, without white space around it.</summary>
    /// <exception cref="UsageException">It cannot be read; names the option.</exception>
    public static string ReadFirstLine(string option, string path) => Read(option, path, BytesMax, () =>
    {
        using var file = new StreamReader(path);
        return file.ReadLine()?.Trim() ?? "";
    });

    /// <summary>All lines of a file.</summary>
    /// <exception cref="UsageException">It cannot be read; names the option.</exception>
    public static IReadOnlyList<string> ReadLines(string option, string path) =>
        Read(option, path, LinesBytesMax, () => File.ReadAllLines(path));

    private static T Read<T>(string option, string path, int bytesMax, Func<T> read)
    {
        try
        {
            return new FileInfo(path).Length <= bytesMax
                ? read()
                : throw new UsageException($"{option} {path} has more than {bytesMax:N0} bytes, which is the limit.");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UsageException($"{option} {path} cannot be read: {error.Message}");
        }
    }
}
