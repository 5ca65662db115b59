using System.Diagnostics;
using SpotServe.Tests.Golden;

namespace SpotServe.Tests.Mutations;

/// <summary>
/// A copy of the checkout in which mutations are put in, built and taken out again. Only the project that changed is
/// built, without analyzers: a mutation changes bodies and nothing that other projects are compiled against.
/// </summary>
internal sealed class MutationWorkshop : IDisposable
{
    private static readonly TimeSpan BuildMax = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan TestsMax = TimeSpan.FromMinutes(12);
    private readonly string _root = Path.Combine(Path.GetTempPath(), $"spotserve-mutations-{Environment.ProcessId}");

    private string Binaries => Path.Combine(_root, "SpotServe.Tests", "bin", "Release", "net10.0");

    /// <summary>Copies what git knows and what it would take in, and builds it once.</summary>
    public async Task OpenAsync()
    {
        var files = await RunAsync(
            "git", "ls-files --cached --others --exclude-standard", Checkout.Root, BuildMax, environment: null);
        foreach (var file in files.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var from = Path.Combine(Checkout.Root, file);
            if (!File.Exists(from)) continue;
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(_root, file))!);
            File.Copy(from, Path.Combine(_root, file));
        }

        var build = await RunAsync(
            "dotnet", "build -c Release SpotServe.Tests -p:RunAnalyzers=false -v q", _root, BuildMax,
            environment: null);
        if (build.ExitCode != 0) throw new InvalidOperationException($"The unchanged copy does not build:\n{build}");
    }

    /// <summary>The file that a mutation changes, or null when its text is not there exactly once.</summary>
    public string? Find(Mutation mutation) => mutation.SourceIn(_root);

    /// <summary>Puts a mutation in, has <paramref name="test"/> done with it, and takes it out.</summary>
    /// <returns>What is wrong with the mutation itself, or null.</returns>
    public async Task<string?> WithAsync(Mutation mutation, Func<Task> test)
    {
        if (Find(mutation) is not { } source) return $"its text is not exactly once in {mutation.File}";
        var path = Path.Combine(_root, mutation.File);
        var library = $"{mutation.Project}.dll";
        var built = Path.Combine(_root, mutation.Project, "bin", "Release", "net10.0", library);
        var used = Path.Combine(Binaries, library);
        var unchanged = await File.ReadAllBytesAsync(used);
        try
        {
            await File.WriteAllTextAsync(
                path, source.Replace(mutation.Text, mutation.Replacement, StringComparison.Ordinal));
            var build = await RunAsync(
                "dotnet",
                $"build -c Release {mutation.Project} --no-restore --no-dependencies -p:RunAnalyzers=false -v q",
                _root, BuildMax, environment: null);
            if (build.ExitCode != 0) return $"it does not compile:\n{build}";
            Put(await File.ReadAllBytesAsync(built), used);
            await test();
            return null;
        }
        finally
        {
            await File.WriteAllTextAsync(path, source);
            Put(unchanged, used);
        }
    }

    /// <returns>Whether all tests passed in time.</returns>
    public async Task<bool> PassesAsync(Killer killer)
    {
        var run = await RunAsync(
            Path.Combine(Binaries, "SpotServe.Tests"), $"{killer.Arguments} -stopOnFail -noColor", _root, TestsMax,
            killer.Environment);
        if (run.Output.Contains("Total: 0,", StringComparison.Ordinal))
            throw new InvalidOperationException($"{killer} has no tests.");
        return run.ExitCode == 0;
    }

    public void Dispose()
    {
        if (Directory.Exists(_root)) Directory.Delete(_root, recursive: true);
    }

    /// <summary>In place of a file that a process may still have open.</summary>
    private static void Put(byte[] bytes, string path)
    {
        File.WriteAllBytes(path + ".new", bytes);
        File.Move(path + ".new", path, overwrite: true);
    }

    private static async Task<Outcome> RunAsync(
        string program,
        string arguments,
        string folder,
        TimeSpan most,
        IReadOnlyDictionary<string, string>? environment)
    {
        // A machine that others use, too, has its own way to start what needs much of it.
        var with = Environment.GetEnvironmentVariable("SPOTSERVE_MUTATIONS_WITH") ?? "";
        var start = new ProcessStartInfo(
            with.Length > 0 ? with : program, with.Length > 0 ? $"{program} {arguments}" : arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // A warm compiler saves most of a build; it ends by itself when nobody asks it for some minutes.
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["UseSharedCompilation"] = "true";
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        using var limit = new CancellationTokenSource(most);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            return new Outcome(-1, $"not over after {most.TotalMinutes:0} minutes");
        }

        return new Outcome(process.ExitCode, await output + await errors);
    }

    private sealed record Outcome(int ExitCode, string Output)
    {
        /// <summary>The end, where builds and tests say what went wrong.</summary>
        public override string ToString() => Output.Length <= 2_000 ? Output : Output[^2_000..];
    }
}
