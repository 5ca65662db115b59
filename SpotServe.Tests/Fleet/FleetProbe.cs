using System.Collections.Concurrent;
using System.Threading.Channels;
using SpotServe.Seed.Fleet;
using Xunit;

namespace SpotServe.Tests.Fleet;

/// <summary>A fleet of bash scripts, with what it reported.</summary>
internal sealed class FleetProbe : IAsyncDisposable
{
    private static readonly TimeSpan Limit = Waits.Max;

    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();

    public FleetProbe(TimeSpan stopGrace, int nodeCount = 2, int lineCharactersMax = 4096)
    {
        Fleet = new LocalFleet(
            new LocalFleetOptions
            {
                Program = new NodeProgram("/bin/bash", ["-c"]),
                NodeCount = nodeCount,
                StopGrace = stopGrace,
                LineCharactersMax = lineCharactersMax,
            },
            (index, line) => _lines.Writer.TryWrite($"{index}: {line}"),
            Exits.Enqueue);
    }

    public LocalFleet Fleet { get; }

    public ConcurrentQueue<NodeExit> Exits { get; } = [];

    public LocalNode Start(string script) => Fleet.Start([script]);

    public async Task<string> NextLineAsync() =>
        await _lines.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(Limit);

    public static async Task<NodeExit> ExitOf(LocalNode node) => await node.Exited.WaitAsync(Limit);

    public ValueTask DisposeAsync() => Fleet.DisposeAsync();
}

/// <summary>Processes as the kernel sees them.</summary>
internal static class Processes
{
    /// <summary>True until it has ended; one that only waits for its parent to notice has ended.</summary>
    public static bool IsRunning(int processId)
    {
        try
        {
            var status = File.ReadAllText($"/proc/{processId}/stat");
            return status[status.LastIndexOf(')') + 2] is not ('Z' or 'X');
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>A signal ends a process a moment after it was sent: whoever is not its parent has no exit to wait
    /// for.</summary>
    public static async Task EndAsync(int processId)
    {
        using var limit = new CancellationTokenSource(Waits.Max);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (IsRunning(processId)) await timer.WaitForNextTickAsync(limit.Token);
    }
}
