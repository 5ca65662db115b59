using SpotServe.Seed.Fleet;

namespace SpotServe.Seed.Narration;

/// <summary>
/// Tells a person of local node processes that end unasked, and notices when none is left: nobody starts new ones.
/// Thread-safe.
/// </summary>
/// <param name="nodeCount">Processes that are started at first, each once.</param>
/// <param name="stopping">From its cancellation on nodes may end: Ctrl-C in a terminal reaches them directly.</param>
internal sealed class NodeWatch(int nodeCount, NodeLogs logs, TextWriter output, CancellationToken stopping)
{
    private readonly TaskCompletionSource _noneLeft = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile NodeExit? _last;
    private int _left = nodeCount;

    /// <summary>One more process is about to be started.</summary>
    public void Expect() => Interlocked.Increment(ref _left);

    public void OnExit(NodeExit exit)
    {
        if (!exit.Requested && !stopping.IsCancellationRequested)
        {
            output.WriteLine(
                $"  node process {exit.ProcessId} (number {exit.Index}) {Told(exit.ExitCode)}; " +
                $"its log: {logs.PathOf(exit.Index)}");
        }

        if (Interlocked.Decrement(ref _left) > 0) return;
        _last = exit;
        _noneLeft.TrySetResult();
    }

    /// <summary>
    /// Completes when all nodes have ended, unless the condition holds then: it never completes then.
    /// </summary>
    public async Task NoneLeftUnless(Func<bool> condition)
    {
        await _noneLeft.Task;
        if (condition()) await new TaskCompletionSource().Task;
    }

    /// <summary>What the node that ended last had to say. Only after <see cref="NoneLeftUnless"/>.</summary>
    public string LastWords()
    {
        var last = _last;
        Actors.Invariant.Holds(last is not null);
        var lines = logs.LastLines(last.Index);
        var said = lines.Count == 0 ? "It said nothing." : "It said last:\n    " + string.Join("\n    ", lines);
        return $"No node is left and nothing was served. The last one, number {last.Index}, ended " +
            $"{How(last.ExitCode)}. {said}";
    }

    /// <summary>A node ends with 0 only when it was told to go: by a notice, or by whoever runs it.</summary>
    private static string Told(int exitCode) =>
        exitCode == 0 ? "has left, as it was told to" : $"ended {How(exitCode)}";

    // A shell's convention: 128 + n is signal n.
    private static string How(int exitCode) =>
        exitCode > 128 ? $"by signal {exitCode - 128}" : $"with exit code {exitCode}";
}
