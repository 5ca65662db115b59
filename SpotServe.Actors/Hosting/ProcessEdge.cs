using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// The outermost edge of a program. What goes wrong there is one line on standard error and exit code 1; a stack trace
/// of what nobody expected goes into a file, because it says nothing to who started the program.
/// </summary>
public static partial class ProcessEdge
{
    /// <summary>Fewer open files than this leave no room for the runtime and a few connections.</summary>
    private const long OpenFilesMin = 512;

    /// <summary>0077: what this process and its children make is read by its user only.</summary>
    private const uint PrivateMask = 0x3F;

    /// <summary>Runs a program.</summary>
    /// <param name="isExpected">Whether an exception's message says all that the user needs to know.</param>
    public static async Task<int> RunAsync(string program, Func<Task<int>> run, Func<Exception, bool> isExpected)
    {
        try
        {
            SetPrivateMask(PrivateMask);
            return OpenFilesMax() is { } max && max < OpenFilesMin
                ? Refuse(program,
                    FormattableString.Invariant($"At most {max} files and connections may be open (ulimit -n); ") +
                    $"at least {OpenFilesMin} are needed. Raise it, for example with: ulimit -n 4096")
                : await run().ConfigureAwait(false);
        }
        catch (Exception error)
        {
            return Refuse(program, isExpected(error) ? error.Message : Unexpected(program, error));
        }
    }

    /// <summary>Says why on one line and gives the exit code.</summary>
    public static int Refuse(string program, string why)
    {
        Terminal.SayLast($"{program}: {why}");
        return 1;
    }

    private static string Unexpected(string program, Exception error)
    {
        while (error is AggregateException or System.Reflection.TargetInvocationException
            && error.InnerException is { } inner)
        {
            error = inner;
        }

        var message = new StringBuilder(error.Message).Replace("\r", "").Replace('\n', ' ');
        return $"{error.GetType().Name}: {message}{Keep(program, error)}";
    }

    /// <summary>Where the stack trace lies; nothing when it cannot be kept.</summary>
    private static string Keep(string program, Exception error)
    {
        var path = Path.Combine(Path.GetTempPath(), $"{program}-{Environment.ProcessId}.error");
        try
        {
            using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
            file.Write(Encoding.UTF8.GetBytes(error.ToString()));
            return $" (This was not expected; {path} has the details.)";
        }
        catch (Exception full) when (full is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    /// <summary>The limit of open files; null where there is none, or none can be read.</summary>
    private static long? OpenFilesMax()
    {
        const string name = "Max open files";
        if (!OperatingSystem.IsLinux() || !File.Exists("/proc/self/limits")) return null;
        var line = File.ReadLines("/proc/self/limits")
            .FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal));
        var soft = line?[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return long.TryParse(soft, NumberStyles.None, CultureInfo.InvariantCulture, out var max) ? max : null;
    }

    private static void SetPrivateMask(uint mask)
    {
        if (!OperatingSystem.IsWindows()) _ = NativeUmask(mask);
    }

    [LibraryImport("libc", EntryPoint = "umask")]
    private static partial uint NativeUmask(uint mask);
}
