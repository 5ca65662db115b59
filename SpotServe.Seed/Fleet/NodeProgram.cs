using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace SpotServe.Seed.Fleet;

/// <summary>How a node process is started.</summary>
/// <param name="FileName">Executable.</param>
/// <param name="Arguments">Arguments that come before the node's own, e.g. the assembly for "dotnet".</param>
public sealed record NodeProgram(string FileName, ImmutableArray<string> Arguments)
{
    /// <summary>Environment variable with the path of SpotServe.Node.dll, or of an executable.</summary>
    public const string Variable = "SPOTSERVE_NODE";

    private const string Assembly = "SpotServe.Node.dll";

    /// <summary>
    /// Finds the node: where <see cref="Variable"/> says, else beside the seed or in a folder "node" there (a published
    /// folder, a tool's package), else in the sibling project's output of the same configuration (a checkout).
    /// </summary>
    /// <param name="fromVariable">The variable's value; null or empty when unset.</param>
    /// <param name="seedFolder">Where the seed's own assembly lies.</param>
    /// <exception cref="FileNotFoundException">There is none; says where it was looked for.</exception>
    public static NodeProgram Locate(string? fromVariable, string seedFolder)
    {
        if (!string.IsNullOrEmpty(fromVariable))
        {
            return File.Exists(fromVariable)
                ? Of(Path.GetFullPath(fromVariable))
                : throw new FileNotFoundException($"{Variable} names '{fromVariable}', which does not exist.");
        }

        // .../SpotServe.Seed/bin/Release/net10.0 -> .../SpotServe.Node/bin/Release/net10.0
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(Path.GetFullPath(seedFolder)));
        var configuration = framework.Parent?.Name ?? "";
        var checkout = framework.Parent?.Parent?.Parent?.Parent?.FullName ?? "";
        string[] places =
        [
            Path.Combine(seedFolder, Assembly),
            Path.Combine(seedFolder, "node", Assembly),
            Path.Combine(checkout, "SpotServe.Node", "bin", configuration, framework.Name, Assembly),
        ];
        return Of(places.FirstOrDefault(IsRunnable) ?? throw new FileNotFoundException(
            $"No node program at {string.Join(" or ", places)}. Build SpotServe.Node in the same configuration, or " +
            $"set {Variable} to its SpotServe.Node.dll."));
    }

    // An assembly that was copied as a mere reference has no runtime configuration and cannot be started.
    private static bool IsRunnable(string assembly) =>
        File.Exists(assembly) && File.Exists(Path.ChangeExtension(assembly, ".runtimeconfig.json"));

    private static NodeProgram Of(string path)
    {
        if (!path.EndsWith(".dll", StringComparison.OrdinalIgnoreCase)) return new NodeProgram(path, []);
        // One that brings its runtime is started by its own executable: there may be no other runtime.
        var bringsRuntime = File.Exists(Path.Combine(Path.GetDirectoryName(path)!, "libhostfxr.so"));
        return bringsRuntime
            ? new NodeProgram(Path.ChangeExtension(path, null), [])
            : new NodeProgram(DotnetHost(), [path]);
    }

    // The host of the runtime that runs this process, so that a "dotnet" outside of PATH is found as well.
    private static string DotnetHost()
    {
        var name = OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";
        var host = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", name));
        return File.Exists(host) ? host : name;
    }
}
