using SpotServe.Seed.Hosting;

namespace SpotServe.Seed.Commands;

/// <summary>Reads what an option names a file for, because a command line can be read by everybody.</summary>
internal static class TextFile
{
    private const int BytesMax = 64 << 10;

    /// <summary>The first line of a file, without white space around it.</summary>
    /// <exception cref="UsageException">It cannot be read; names the option.</exception>
    public static string ReadFirstLine(string option, string path)
    {
        try
        {
            if (new FileInfo(path).Length > BytesMax)
                throw new UsageException($"{option} {path} has more than {BytesMax:N0} bytes; it must hold one line.");
            using var file = new StreamReader(path);
            return file.ReadLine()?.Trim() ?? "";
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UsageException($"{option} {path} cannot be read: {error.Message}");
        }
    }
}
