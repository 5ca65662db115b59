using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace SpotServe.Tests.Chaos.Network;

/// <summary>The system's `ip`, `tc` and `sh`, by which namespaces are made and changed.</summary>
internal static class IpTool
{
    private static readonly TimeSpan RunMax = TimeSpan.FromSeconds(60);

    /// <summary>Skips the test, saying why, where network namespaces cannot be made.</summary>
    public static void SkipWhereImpossible()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess,
            "Making network namespaces needs Linux and root.");
        Assert.SkipUnless(Exists("ip") && Exists("tc"), "Making network namespaces needs ip and tc (iproute2).");
        var probe = $"{NetworkLab.Prefix}{Environment.ProcessId}-probe";
        var (code, error) = Try("ip", $"netns add {probe}");
        Assert.SkipUnless(code == 0, $"This machine lets root make no network namespaces: {error}");
        Run("ip", $"netns del {probe}");
    }

    /// <summary>Runs a command; its standard output. Arguments are separated by single spaces.</summary>
    public static string Run(string tool, string arguments)
    {
        var (code, output) = Try(tool, arguments);
        return code == 0
            ? output
            : throw new InvalidOperationException($"{tool} {arguments} ended with {code}: {output}");
    }

    public static (int Code, string Output) Try(string tool, string arguments) => Try(tool, arguments.Split(' '));

    /// <summary>Runs a shell command in a namespace.</summary>
    public static void Shell(string space, string command)
    {
        var (code, output) = Try("ip", ["netns", "exec", space, "sh", "-c", command]);
        if (code != 0) throw new InvalidOperationException($"{command} in {space} ended with {code}: {output}");
    }

    /// <summary>Process ids in a namespace; empty when it is gone.</summary>
    public static int[] Processes(string space)
    {
        var (code, output) = Try("ip", $"netns pids {space}");
        return code != 0
            ? []
            : [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => int.Parse(line, CultureInfo.InvariantCulture))];
    }

    private static (int Code, string Output) Try(string tool, IEnumerable<string> arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(tool, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var output = process.StandardOutput.ReadToEnd();
        var error = process.StandardError.ReadToEnd();
        if (!process.WaitForExit(RunMax))
        {
            process.Kill();
            return (-1, $"{tool} did not end within {RunMax.TotalSeconds:0} s");
        }

        return (process.ExitCode, process.ExitCode == 0 ? output : error.Trim());
    }

    private static bool Exists(string tool) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
        .Any(folder => File.Exists(Path.Combine(folder, tool)));
}
