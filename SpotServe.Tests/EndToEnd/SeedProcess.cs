using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>The real program as a user starts it, with everything that it starts. Disposal stops all of it.</summary>
internal sealed partial class SeedProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartMax = Waits.Max;

    /// <summary>Flags that each seed and node gets as well, so that all that is tried here can be tried with them:
    /// SPOTSERVE_TEST_FLAGS="--data-tls".</summary>
    private static readonly string[] Everywhere = (Environment.GetEnvironmentVariable("SPOTSERVE_TEST_FLAGS") ?? "")
        .Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private readonly Process _process;
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly ConcurrentQueue<string> _errors = new();
    private readonly List<(string Text, TaskCompletionSource<string> Found)> _waiting = [];
    private readonly TaskCompletionSource<Uri> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private SeedProcess(Process process, string dataFolder)
    {
        _process = process;
        DataFolder = dataFolder;
        process.OutputDataReceived += (_, line) => OnLine(line.Data);
        process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is not null) _errors.Enqueue(line.Data);
            OnLine(line.Data);
        };
        process.Exited += (_, _) => _ready.TrySetException(
            new InvalidOperationException($"the seed ended before it was ready:\n{Output}"));
        process.EnableRaisingEvents = true;
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public string DataFolder { get; }

    public static string BundledModel => Path.Combine(AppContext.BaseDirectory, "models", "tinystories-4m");

    /// <summary>The seed's assembly, for those who start it by themselves.</summary>
    public static string SeedProgram => Program("SpotServe.Seed");

    /// <summary>Where a seed logs what its actors do.</summary>
    public string LogFile => Path.Combine(DataFolder, "logs", "seed.log");

    /// <summary>"host:port" by which the cluster knows a node that was started by hand; null until it has said
    /// it.</summary>
    public string? ClusterAddress => Listening().Match(Output) is { Success: true } match
        ? match.Groups[1].Value
        : null;

    public int Id => _process.Id;

    /// <summary>Memory that the process holds now; 0 once it has ended.</summary>
    public long ResidentBytes
    {
        get
        {
            try
            {
                _process.Refresh();
                return _process.WorkingSet64;
            }
            catch (InvalidOperationException)
            {
                // It may end while it is looked at.
                return 0;
            }
        }
    }

    public bool HasExited => _process.HasExited;

    public string Output => string.Join('\n', _lines);

    /// <summary>Lines that it has written so far; a mark for <see cref="LineAsync"/>.</summary>
    public int LineCount => _lines.Count;

    /// <summary>What it wrote to standard error.</summary>
    public IReadOnlyList<string> Errors => [.. _errors];

    /// <summary>Runs the seed with these arguments until it serves.</summary>
    public static async Task<(SeedProcess Seed, HttpClient Http)> StartAsync(params string[] arguments)
    {
        var seed = Begin(arguments);
        return (seed, await seed.ReadyAsync());
    }

    /// <summary>Waits until it serves.</summary>
    public async Task<HttpClient> ReadyAsync()
    {
        var address = await _ready.Task.WaitAsync(StartMax, TestContext.Current.CancellationToken)
            .ContinueWith(
                ready => ready.IsCompletedSuccessfully
                    ? ready.Result
                    : throw new InvalidOperationException($"not ready:\n{Output}", ready.Exception),
                TaskScheduler.Default);
        return new HttpClient { BaseAddress = address, Timeout = TimeSpan.FromMinutes(5) };
    }

    /// <summary>Runs the seed without waiting for anything.</summary>
    public static SeedProcess Begin(params string[] arguments) => Begin([], arguments);

    /// <summary>Runs the seed with additions to its environment, without waiting for anything.</summary>
    public static SeedProcess Begin(Dictionary<string, string> environment, params string[] arguments) =>
        BeginIn(null, environment, arguments);

    /// <summary>Runs the seed in a shell, behind a command of that shell's.</summary>
    public static SeedProcess BeginUnder(string shell, params string[] arguments)
    {
        var data = Directory.CreateTempSubdirectory("spotserve-test-").FullName;
        return Begin(["sh", "-c", $"{shell} && exec \"$@\"", "sh", "dotnet", Program("SpotServe.Seed"), .. arguments,
            "--data", data, "--verbose"], data, []);
    }

    /// <summary>Runs a node by hand, without waiting for anything.</summary>
    public static SeedProcess BeginNode(Dictionary<string, string> environment, params string[] arguments) =>
        BeginNodeIn(null, environment, arguments);

    /// <summary>As <see cref="Begin(Dictionary{string, string}, string[])"/>, in a network namespace. Tests read what
    /// the planner does, so it tells all.</summary>
    public static SeedProcess BeginIn(string? space, Dictionary<string, string> environment, string[] arguments)
    {
        var data = Directory.CreateTempSubdirectory("spotserve-test-").FullName;
        return Begin(
            Program("SpotServe.Seed"),
            data,
            environment,
            arguments.Contains("--data") ? [.. arguments, "--verbose"] : [.. arguments, "--data", data, "--verbose"],
            space);
    }

    /// <summary>As <see cref="BeginNode"/>, in a network namespace.</summary>
    public static SeedProcess BeginNodeIn(string? space, Dictionary<string, string> environment, string[] arguments) =>
        Begin(
            Program("SpotServe.Node"),
            Directory.CreateTempSubdirectory("spotserve-test-").FullName,
            environment,
            arguments,
            space);

    private static SeedProcess Begin(
        string program, string dataFolder, Dictionary<string, string> environment, string[] arguments, string? space)
    {
        // A shell's background job ignores SIGINT, and so would every process below it: env undoes that and is
        // replaced, as is ip before it.
        string[] command = ["env", "--default-signal=INT", "dotnet"];
        if (space is not null) command = ["ip", "netns", "exec", space, .. command];
        return Begin([.. command, program, .. arguments, .. Everywhere], dataFolder, environment);
    }

    private static SeedProcess Begin(string[] command, string dataFolder, Dictionary<string, string> environment)
    {
        var start = new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return new SeedProcess(new Process { StartInfo = start }, dataFolder);
    }

    /// <summary>
    /// Waits for a line with this text and gives it; fails with all the output when the process ends.
    /// </summary>
    /// <param name="after">Lines before this mark do not count.</param>
    public async Task<string> LineAsync(string text, int after = 0)
    {
        var found = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        _process.Exited += (_, _) => found.TrySetException(
            new InvalidOperationException($"it ended without saying \"{text}\":\n{Output}"));
        lock (_waiting)
        {
            if (_lines.Skip(after).FirstOrDefault(line => line.Contains(text, StringComparison.Ordinal)) is { } line)
                return line;
            _waiting.Add((text, found));
        }

        // One that ended before was not heard above.
        if (_process.HasExited)
            found.TrySetException(new InvalidOperationException($"it ended without saying \"{text}\":\n{Output}"));
        return await found.Task.WaitAsync(StartMax, TestContext.Current.CancellationToken);
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

    /// <summary>Ends it without notice, if it still runs: at once, where <see cref="Signal"/> starts a program
    /// first.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Sends a signal, e.g. "TERM" or "KILL", to any process.</summary>
    public static void Signal(int processId, string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{processId}"]);
        kill.WaitForExit();
    }

    /// <summary>Ends it and what it started, without notice: how it ends in order is what
    /// <see cref="ProcessLifeTests"/> are for, and takes seconds.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync().WaitAsync(Waits.Max);

        _process.Dispose();
        Directory.Delete(DataFolder, recursive: true);
    }

    /// <summary>
    /// A project's own output folder: the copy beside the tests lacks what only that project references.
    /// </summary>
    private static string Program(string project)
    {
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var checkout = framework.Parent!.Parent!.Parent!.Parent!.FullName;
        return Path.Combine(checkout, project, "bin", framework.Parent.Name, framework.Name, $"{project}.dll");
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
        lock (_waiting)
        {
            _lines.Enqueue(line);
            foreach (var (text, found) in _waiting)
            {
                if (line.Contains(text, StringComparison.Ordinal)) found.TrySetResult(line);
            }
        }

        if (Ready().Match(line) is { Success: true } match) _ready.TrySetResult(new Uri(match.Groups[1].Value));
    }

    [GeneratedRegex(@"Remoting started; listening on addresses : \[akka\.tcp://\w+@([^\]]+)\]")]
    private static partial Regex Listening();

    [GeneratedRegex(@"Ready: (http://[^\s""]+)")]
    private static partial Regex Ready();
}
