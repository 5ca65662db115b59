namespace SpotServe.Seed.Fleet;

/// <summary>
/// Node processes on this machine. They do not outlive it: <see cref="StopAsync"/> takes a bounded time, and when this
/// process is killed they see the end of their standard input and leave by themselves.
/// </summary>
/// <param name="onLine">Gets each line of output with the node's index; called from several threads.</param>
/// <param name="onExit">Gets each process that ended, asked to or not; called from several threads.</param>
public sealed class LocalFleet(LocalFleetOptions options, Action<int, string> onLine, Action<NodeExit> onExit)
    : IAsyncDisposable
{
    // From SIGKILL to the last exit: the kernel needs no longer, unless the machine hangs.
    private static readonly TimeSpan KillLimit = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly List<LocalNode> _running = [];
    private int _started;
    private bool _stopping;

    /// <summary>Nodes whose process has not ended.</summary>
    public IReadOnlyList<LocalNode> Running
    {
        get
        {
            lock (_lock) return [.. _running];
        }
    }

    /// <summary>Starts one more node.</summary>
    /// <exception cref="InvalidOperationException">It cannot be started, too many run, or the fleet is
    /// stopping.</exception>
    public LocalNode Start(IEnumerable<string> arguments)
    {
        LocalNode node;
        lock (_lock)
        {
            if (_stopping) throw new InvalidOperationException("The fleet is stopping; it starts no more nodes.");
            if (_running.Count >= LocalFleetOptions.NodesMax)
                throw new InvalidOperationException($"{_running.Count} nodes run already, which is the limit.");
            node = LocalNode.Start(options, _started++, arguments, onLine);
            _running.Add(node);
        }

        _ = ReportExitAsync(node);
        return node;
    }

    /// <summary>
    /// Asks all nodes to stop, kills those that still run after the grace time, and returns when none runs. May be
    /// called again.
    /// </summary>
    /// <exception cref="TimeoutException">A killed process does not end.</exception>
    public async Task StopAsync()
    {
        var nodes = BeginToStop();
        foreach (var node in nodes) node.RequestStop();
        var exits = Task.WhenAll(nodes.Select(node => node.Exited));
        try
        {
            await exits.WaitAsync(options.StopGrace).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            foreach (var node in nodes) node.Kill();
            await exits.WaitAsync(KillLimit).ConfigureAwait(false);
        }
    }

    /// <summary>As <see cref="StopAsync"/>, without asking.</summary>
    /// <exception cref="TimeoutException">A killed process does not end.</exception>
    public async Task KillAsync()
    {
        var nodes = BeginToStop();
        foreach (var node in nodes) node.Kill();
        await Task.WhenAll(nodes.Select(node => node.Exited)).WaitAsync(KillLimit).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync() => await StopAsync().ConfigureAwait(false);

    private LocalNode[] BeginToStop()
    {
        lock (_lock)
        {
            _stopping = true;
            return [.. _running];
        }
    }

    private async Task ReportExitAsync(LocalNode node)
    {
        var exit = await node.Exited.ConfigureAwait(false);
        lock (_lock) _running.Remove(node);
        onExit(exit);
    }
}
