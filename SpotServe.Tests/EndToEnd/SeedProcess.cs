using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>The real program as a user starts it, with everything that it starts. Disposal stops all of it.</summary>
internal sealed partial class SeedProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartMax = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(10);
    private readonly Process _process;
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly TaskCompletionSource<Uri> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private SeedProcess(Process process, string dataFolder)
    {
        _process = process;
        DataFolder = dataFolder;
        process.OutputDataReceived += (_, line) => OnLine(line.Data);
        process.ErrorDataReceived += (_, line) => OnLine(line.Data);
        process.Exited += (_, _) => _ready.TrySetException(
            new InvalidOperationException($"the seed ended before it was ready:\n{Output}"));
        process.EnableRaisingEvents = true;
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public string DataFolder { get; }

    public int Id => _process.Id;

    public string Output => string.Join('\n', _lines);

    /// <summary>Runs the seed with these arguments until it serves.</summary>
    public static async Task<(SeedProcess Seed, HttpClient Http)> StartAsync(params string[] arguments)
    {
        var seed = Begin(arguments);
        var address = await seed._ready.Task.WaitAsync(StartMax, TestContext.Current.CancellationToken)
            .ContinueWith(
                ready => ready.IsCompletedSuccessfully
                    ? ready.Result
                    : throw new InvalidOperationException($"not ready:\n{seed.Output}", ready.Exception),
                TaskScheduler.Default);
        return (seed, new HttpClient { BaseAddress = address, Timeout = TimeSpan.FromMinutes(5) });
    }

    /// <summary>Runs the seed without waiting for anything.</summary>
    public static SeedProcess Begin(params string[] arguments)
    {
        var data = Directory.CreateTempSubdirectory("spotserve-test-").FullName;
        var start = new ProcessStartInfo("dotnet")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        start.ArgumentList.Add(SeedProgram());
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        if (!arguments.Contains("--data"))
        {
            start.ArgumentList.Add("--data");
            start.ArgumentList.Add(data);
        }

        return new SeedProcess(new Process { StartInfo = start }, data);
    }

    /// <summary>Waits for the process to end by itself.</summary>
    public async Task<int> ExitCodeAsync(TimeSpan max)
    {
        await _process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(max);
        return _process.ExitCode;
    }

    /// <summary>Process ids of the node processes that the seed started.</summary>
    public int[] NodeIds() => [.. Directory.GetDirectories("/proc")
        .Select(folder => int.TryParse(Path.GetFileName(folder), out var id) ? id : 0)
        .Where(id => id > 0 && ParentOf(id) == Id)];

    /// <summary>Sends a signal, e.g. "TERM" or "KILL", to any process.</summary>
    public static void Signal(int processId, string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{processId}"]);
        kill.WaitForExit();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            Signal(Id, "TERM");
            try
            {
                await _process.WaitForExitAsync().WaitAsync(StopMax);
            }
            catch (TimeoutException)
            {
                _process.Kill(entireProcessTree: true);
                await _process.WaitForExitAsync().WaitAsync(StopMax);
            }
        }

        _process.Dispose();
        Directory.Delete(DataFolder, recursive: true);
    }

    /// <summary>The seed's own output folder: the copy beside the tests lacks what only the seed references.</summary>
    private static string SeedProgram()
    {
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var checkout = framework.Parent!.Parent!.Parent!.Parent!.FullName;
        return Path.Combine(
            checkout, "SpotServe.Seed", "bin", framework.Parent.Name, framework.Name, "SpotServe.Seed.dll");
    }

    private static int ParentOf(int id)
    {
        try
        {
            var status = File.ReadAllText($"/proc/{id}/stat");
            var fields = status[(status.LastIndexOf(')') + 2)..].Split(' ');
            return int.Parse(fields[1], System.Globalization.CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return 0;   // It ended between the listing and the reading.
        }
    }

    private void OnLine(string? line)
    {
        if (line is null) return;
        _lines.Enqueue(line);
        if (Ready().Match(line) is { Success: true } match) _ready.TrySetResult(new Uri(match.Groups[1].Value));
    }

    [GeneratedRegex(@"Ready: (http://\S+)")]
    private static partial Regex Ready();
}
