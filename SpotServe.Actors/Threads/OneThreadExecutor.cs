using System.Collections.Concurrent;
using Akka.Configuration;
using Akka.Dispatch;

namespace SpotServe.Actors.Threads;

/// <summary>Makes a dispatcher's executor; named in its settings.</summary>
internal sealed class OneThreadExecutor(Config config, IDispatcherPrerequisites prerequisites)
    : ExecutorServiceConfigurator(config, prerequisites)
{
    public override ExecutorService Produce(string id) => new OneThread(id);
}

/// <summary>
/// Runs what it is given in the order of its coming, on one thread of its own. An actor that sends to another one there
/// wakes nobody: the thread comes to that by itself. It sleeps when there is nothing left.
/// </summary>
internal sealed class OneThread : ExecutorService
{
    private readonly ConcurrentQueue<IRunnable> _work = new();
    private readonly object _gate = new();
    private volatile bool _isAsleep;
    private volatile bool _isOver;

    public OneThread(string id)
        : base(id)
    {
        var thread = new Thread(Run) { IsBackground = true, Name = id };
        thread.Start();
    }

    public override void Execute(IRunnable run)
    {
        _work.Enqueue(run);
        // The thread says that it sleeps before it looks for the last time: one of the two sees the other.
        Interlocked.MemoryBarrier();
        if (_isOver) PassOn();
        else if (_isAsleep) Wake();
    }

    /// <summary>The system is stopping, and what comes late has to come to its end as well.</summary>
    private void PassOn()
    {
        while (_work.TryDequeue(out var late)) ThreadPool.UnsafeQueueUserWorkItem(_ => late.Run(), state: null);
    }

    public override void Shutdown()
    {
        _isOver = true;
        Wake();
    }

    private void Run()
    {
        while (true)
        {
            // Looked at first: what was given before the end is run here, what comes after it is passed on.
            var isOver = _isOver;
            while (_work.TryDequeue(out var next)) next.Run();
            if (isOver) return;
            Sleep();
        }
    }

    private void Sleep()
    {
        lock (_gate)
        {
            _isAsleep = true;
            Interlocked.MemoryBarrier();
            if (!_work.IsEmpty || _isOver) _isAsleep = false;
            while (_isAsleep) Monitor.Wait(_gate);
        }
    }

    private void Wake()
    {
        lock (_gate)
        {
            if (!_isAsleep) return;
            _isAsleep = false;
            Monitor.Pulse(_gate);
        }
    }
}
