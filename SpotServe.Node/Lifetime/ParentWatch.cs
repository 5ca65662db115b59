using System.Diagnostics;

namespace SpotServe.Node.Lifetime;

/// <summary>
/// Ends a node whose parent is gone. The parent (the seed's local fleet) holds the other end of the node's standard
/// input and never writes: the end of the stream means that the parent ended, however it did.
/// </summary>
/// <remarks>
/// PR_SET_PDEATHSIG is not used: it fires when the thread that started the child ends, which for a thread of the
/// parent's pool may be long before the process does, and it misses a parent that ended before the call. The pipe has
/// neither flaw and needs no polling.
/// </remarks>
public sealed class ParentWatch
{
    /// <summary>
    /// Environment variable that the parent sets to "stdin". Unset for a node that was started by hand.
    /// </summary>
    public const string Variable = "SPOTSERVE_PARENT_WATCH";

    private readonly Stream _input;
    private readonly TimeSpan _grace;
    private readonly Action _onParentLost;
    private readonly Action _endProcess;

    private ParentWatch(Stream input, TimeSpan grace, Action onParentLost, Action endProcess)
    {
        _input = input;
        _grace = grace;
        _onParentLost = onParentLost;
        _endProcess = endProcess;
    }

    /// <summary>Starts watching if the parent asked for it.</summary>
    /// <param name="grace">Time for stopping in order, after which the process is ended from here.</param>
    /// <param name="onParentLost">Begins an orderly stop, e.g. IHostApplicationLifetime.StopApplication. Called once,
    /// on a thread of its own.</param>
    /// <returns>True when the parent is being watched.</returns>
    public static bool StartIfAsked(TimeSpan grace, Action onParentLost)
    {
        if (Environment.GetEnvironmentVariable(Variable) != "stdin") return false;
        Start(Console.OpenStandardInput(), grace, onParentLost, Process.GetCurrentProcess().Kill);
        return true;
    }

    /// <summary>Watches a stream. The threads are background ones: they do not keep the process alive.</summary>
    /// <param name="endProcess">Called when the grace time is over and the process still runs. Must not wait for
    /// anything: a stuck finalizer or exit handler may be the reason that it comes to this.</param>
    public static void Start(Stream input, TimeSpan grace, Action onParentLost, Action endProcess)
    {
        var watch = new ParentWatch(input, grace, onParentLost, endProcess);
        new Thread(watch.Run) { IsBackground = true, Name = "parent-watch" }.Start();
    }

    // A thread and not a task: with all of the pool's threads stuck, this one must still act.
    private void Run()
    {
        WaitForEnd();
        var stop = new Thread(() => _onParentLost()) { IsBackground = true, Name = "parent-lost" };
        stop.Start();
        new ManualResetEvent(initialState: false).WaitOne(_grace);
        _endProcess();
    }

    private void WaitForEnd()
    {
        var buffer = new byte[64];
        try
        {
            while (_input.Read(buffer) > 0)
            {
                // Nothing is ever written; should someone type, it means nothing.
            }
        }
        catch (IOException)
        {
            // A broken pipe says the same as its end.
        }
    }
}
