using System.CommandLine;
using System.Diagnostics;
using SpotServe.Actors.Hosting;

namespace SpotServe.Seed.Commands;

/// <summary>`libtorch`: has NuGet fetch the package with libtorch, which a tool's package is too small for
/// (docs/adr/0081). NuGet knows the user's sources and proxies, checks what comes, and keeps it for other
/// programs.</summary>
internal static class LibtorchCommand
{
    public static Command Create()
    {
        var command = new Command("libtorch", "Fetches libtorch for the CPU (600 MB) once, through NuGet.");
        command.SetAction((_, cancel) => RunAsync(cancel));
        return command;
    }

    private static async Task<int> RunAsync(CancellationToken cancel)
    {
        if (LibtorchPackage.Find() is { } there)
        {
            Console.WriteLine($"It is there: {there}");
            return 0;
        }

        Console.WriteLine($"NuGet fetches {LibtorchPackage.Name} {LibtorchPackage.Version} (600 MB).");
        var folder = Directory.CreateTempSubdirectory("spotserve-libtorch-");
        try
        {
            var project = Path.Combine(folder.FullName, "libtorch.csproj");
            await File.WriteAllTextAsync(project, Project, cancel);
            await RestoreAsync(project, cancel);
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        Console.WriteLine(LibtorchPackage.Find() is { } found
            ? $"It is there: {found}"
            : throw new UsageException(
                $"NuGet has put {LibtorchPackage.Name} elsewhere than {LibtorchPackage.Folder}. Set "
                + "SPOTSERVE_TORCH_LIB to the folder with its libtorch_cpu.so."));
        return 0;
    }

    private static string Project =>
        $"""
        <Project Sdk="Microsoft.NET.Sdk">
          <PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup>
          <ItemGroup>
            <PackageDownload Include="{LibtorchPackage.Name}" Version="[{LibtorchPackage.Version}]" />
          </ItemGroup>
        </Project>
        """;

    private static async Task RestoreAsync(string project, CancellationToken cancel)
    {
        Process process;
        try
        {
            process = Process.Start(new ProcessStartInfo("dotnet", ["restore", project])
            {
                WorkingDirectory = Path.GetDirectoryName(project),
            })!;
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            throw new UsageException(
                $"dotnet cannot be started ({error.Message}): install the .NET SDK, or set SPOTSERVE_TORCH_LIB to the "
                + "lib folder of a PyTorch.");
        }

        using (process)
        {
            try
            {
                await process.WaitForExitAsync(cancel);
            }
            finally
            {
                if (!process.HasExited) process.Kill(entireProcessTree: true);
            }

            if (process.ExitCode != 0)
                throw new UsageException("NuGet did not fetch it; what it said above tells why.");
        }
    }
}
