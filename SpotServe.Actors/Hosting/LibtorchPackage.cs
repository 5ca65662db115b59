using System.Reflection;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// The package with libtorch, where NuGet keeps packages: a program that was built without libtorch (-p:Torch=none, as
/// the tool's package is, which could not hold 600 MB) takes it from there.
/// </summary>
public static class LibtorchPackage
{
    public const string Name = "libtorch-cpu-linux-x64";

    /// <summary>The version that TorchSharp was made for.</summary>
    public static string Version { get; } = typeof(LibtorchPackage).Assembly
        .GetCustomAttributes<AssemblyMetadataAttribute>().Single(one => one.Key == nameof(LibtorchPackage)).Value!;

    /// <summary>Where its libraries are once it is there.</summary>
    public static string Folder => Path.Combine(Packages, Name, Version, "runtimes", "linux-x64", "native");

    private static string Packages => Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } stated
        ? stated
        : Path.Combine(
            Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    /// <summary>Its libraries' folder; null when it is not there.</summary>
    public static string? Find() => File.Exists(Path.Combine(Folder, "libtorch_cpu.so")) ? Folder : null;
}
