using System.Diagnostics;
using System.Globalization;

namespace SpotServe.Seed.Fleet;

/// <summary>One node process on this machine.</summary>
public sealed class LocalNode
{
    // What the process wrote before it ended is in the pipe and read at once; only a grandchild that kept the pipe
    // open could make this last.
    private static readonly TimeSpan OutputAfterExit = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(10);

    private readonly Process _process;
    private volatile bool _requested;

    private LocalNode(int index, Process process, Task[] output, CancellationTokenSource stopReading)
    {
        Index = index;
        _process = process;
        ProcessId = process.Id;
        Exited = WaitAsync(output, stopReading);
    }

    /// <summary>Number in the fleet, from 0 in order of starting.</summary>
    public int Index { get; }

    public int ProcessId { get; }

    /// <summary>Completes when the process has ended and its output was passed on. Never fails.</summary>
    public Task<NodeExit> Exited { get; }

    /// <summary>Starts a process; each line that it writes to standard output or error goes to the callback, which is
    /// called by one or two threads at once.</summary>
    /// <exception cref="InvalidOperationException">The program cannot be started; says why.</exception>
    internal static LocalNode Start(
        LocalFleetOptions options, int index, IEnumerable<string> arguments, Action<int, string> onLine)
    {
        var start = new ProcessStartInfo(options.Program.FileName, options.Program.Arguments.Concat(arguments))
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            // Kept open and never written to: when this process ends, in whatever way, the kernel closes it, and the
            // node, which reads it, learns of that at once. There is no moment at which it could miss it.
            RedirectStandardInput = true,
        };
        SetEnvironment(start, options);

        try
        {
            var process = Process.Start(start)!;
            var stopReading = new CancellationTokenSource();
            return new LocalNode(
                index, process, [Read(process.StandardOutput), Read(process.StandardError)], stopReading);

            Task Read(StreamReader reader) => BoundedLines.ReadAsync(
                reader, options.LineCharactersMax, line => onLine(index, line), stopReading.Token);
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            throw new InvalidOperationException(
                $"Cannot start node {index} with '{options.Program.FileName}': {error.Message}", error);
        }
    }

    /// <summary>
    /// Asks the process to stop in order and at once, by ending its standard input as this process's own end would.
    /// SIGTERM is not used: to a node it is a preemption notice, after which it waits for its work to move. Does
    /// nothing
    /// when the process has ended.
    /// </summary>
    public void RequestStop()
    {
        _requested = true;
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has ended, or closed its end: the pipe is gone either way.
        }
    }

    /// <summary>Asks the process to stop, and kills it when it still runs after a while.</summary>
    internal async Task EndAsync(TimeProvider clock)
    {
        RequestStop();
        try
        {
            await Exited.WaitAsync(StopMax, clock).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            Kill();
        }
    }

    /// <summary>Ends the process and its children without notice (SIGKILL). Does nothing when it has ended.</summary>
    /// <param name="asIfByAccident">Its exit counts as one that nobody asked for: that is what is tried out.</param>
    public void Kill(bool asIfByAccident = false)
    {
        if (!asIfByAccident) _requested = true;
        try
        {
            _process.Kill(entireProcessTree: true);
        }
        catch (Exception error) when (error is InvalidOperationException or AggregateException)
        {
            // It, or one of its children, ended by itself meanwhile: that is what was wanted.
        }
    }

    private static void SetEnvironment(ProcessStartInfo start, LocalFleetOptions options)
    {
        var threads = options.ThreadsPerNode.ToString(CultureInfo.InvariantCulture);
        start.Environment["SPOTSERVE_PARENT_WATCH"] = "stdin";
        start.Environment["SPOTSERVE_THREADS"] = threads;
        start.Environment["OMP_NUM_THREADS"] = threads;
        // Threads of one node that wait by spinning would take the cores from the next node's.
        start.Environment["OMP_WAIT_POLICY"] = "passive";
        // One heap for each core and process is far too much memory with many nodes on one machine.
        start.Environment["DOTNET_gcServer"] = "0";
        // Mapping each page of compiled code twice takes time while a node starts (docs/adr/0090).
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        foreach (var (name, value) in options.Environment) start.Environment[name] = value;
    }

    private async Task<NodeExit> WaitAsync(Task[] output, CancellationTokenSource stopReading)
    {
        await _process.WaitForExitAsync().ConfigureAwait(false);
        try
        {
            await Task.WhenAll(output).WaitAsync(OutputAfterExit).ConfigureAwait(false);
        }
        catch (Exception error) when (error is TimeoutException or IOException or ObjectDisposedException)
        {
            await stopReading.CancelAsync().ConfigureAwait(false);
        }

        return new NodeExit(Index, ProcessId, _process.ExitCode, _requested);
    }
}
