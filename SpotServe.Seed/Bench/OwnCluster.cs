using System.Diagnostics;
using System.Text.RegularExpressions;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Bench;

/// <summary>
/// This program started once more, as a user starts it: a seed and its nodes on this machine, for a measurement. All
/// of it ends with <see cref="DisposeAsync"/>.
/// </summary>
internal sealed partial class OwnCluster : IAsyncDisposable
{
    private static readonly TimeSpan StartMax = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan ChangeMax = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(50);
    private const int LinesKept = 40;

    private readonly Process _process;
    private readonly Queue<string> _last = [];
    private readonly TaskCompletionSource<Uri> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private OwnCluster(ProcessStartInfo start)
    {
        _process = new Process { StartInfo = start, EnableRaisingEvents = true };
        _process.OutputDataReceived += (_, line) => OnLine(line.Data);
        _process.ErrorDataReceived += (_, line) => OnLine(line.Data);
        _process.Exited += (_, _) => _ready.TrySetException(
            new UsageException($"The cluster ended before it served:\n{LastLines}"));
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public HttpClient Http { get; private set; } = null!;

    private string LastLines
    {
        get
        {
            lock (_last) return string.Join('\n', _last);
        }
    }

    /// <summary>Starts it and waits until it serves.</summary>
    /// <param name="folder">For its journal, its logs and what its nodes measure of themselves, so that nothing that
    /// was measured in another hour counts.</param>
    /// <param name="arguments">Of the one command; port and data folder are added.</param>
    /// <exception cref="UsageException">It does not serve; has its last lines.</exception>
    public static async Task<OwnCluster> StartAsync(string folder, string[] arguments, CancellationToken cancel)
    {
        var start = Self([.. arguments, "--port", "0", "--data", Path.Combine(folder, "data")]);
        start.Environment["XDG_CACHE_HOME"] = Path.Combine(folder, "cache");
        var cluster = new OwnCluster(start);
        try
        {
            var address = await cluster._ready.Task.WaitAsync(StartMax, cancel);
            cluster.Http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 1024 })
            {
                BaseAddress = address,
                Timeout = TimeSpan.FromMinutes(5),
            };
            return cluster;
        }
        catch (TimeoutException)
        {
            await cluster.DisposeAsync();
            throw new UsageException(
                $"The cluster did not serve within {StartMax.TotalSeconds:0} s:\n{cluster.LastLines}");
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>What its planner decides from now.</summary>
    public async Task<PlanningInputs> InputsAsync(CancellationToken cancel) =>
        PlanningInputsJson.Read(await Http.GetStringAsync("/admin/planning-input", cancel)).Present
        ?? throw new UsageException("The cluster has lost all its nodes.");

    /// <summary>Asks for degrees and waits until they serve.</summary>
    /// <exception cref="UsageException">They do not within a minute.</exception>
    public async Task ServeWithAsync(LayoutDegrees degrees, CancellationToken cancel)
    {
        var layout = $"{degrees.Replicas},{degrees.Stages},{degrees.Ranks}";
        using var answer = await Http.PostAsJsonAsync("/admin/layout", new { layout }, cancel);
        if (!answer.IsSuccessStatusCode)
            throw new UsageException($"Layout {layout}: {await answer.Content.ReadAsStringAsync(cancel)}");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(ChangeMax);
        using var timer = new PeriodicTimer(Period);
        try
        {
            while ((await InputsAsync(limit.Token)).Serving?.Layout.Degrees is not { } serving
                || (serving.Replicas, serving.Stages, serving.Ranks)
                    != (degrees.Replicas, degrees.Stages, degrees.Ranks))
            {
                await timer.WaitForNextTickAsync(limit.Token);
            }
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new UsageException(
                $"Layout {layout} did not serve within {ChangeMax.TotalSeconds:0} s:\n{LastLines}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        Http?.Dispose();
        if (!_process.HasExited)
        {
            // The one command stops in order on SIGTERM; a child of ours has no terminal to press Ctrl-C in.
            using (var kill = Process.Start("kill", ["-TERM", $"{_process.Id}"])) await kill.WaitForExitAsync();
            using var limit = new CancellationTokenSource(StopMax);
            try
            {
                await _process.WaitForExitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                _process.Kill(entireProcessTree: true);
            }
        }

        _process.Dispose();
    }

    /// <summary>The program that runs, whether by its own name or by dotnet.</summary>
    private static ProcessStartInfo Self(IEnumerable<string> arguments)
    {
        var program = Environment.ProcessPath!;
        var isHost = Path.GetFileNameWithoutExtension(program) == "dotnet";
        return new ProcessStartInfo(program, isHost
            ? arguments.Prepend(Path.Combine(AppContext.BaseDirectory, "SpotServe.Seed.dll"))
            : arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
    }

    private void OnLine(string? line)
    {
        if (line is null) return;
        lock (_last)
        {
            _last.Enqueue(line);
            if (_last.Count > LinesKept) _last.Dequeue();
        }

        if (Ready().Match(line) is { Success: true } match) _ready.TrySetResult(new Uri(match.Groups[1].Value));
    }

    [GeneratedRegex(@"^Ready: (http://\S+)")]
    private static partial Regex Ready();
}
