namespace SpotServe.Node.Engine.Cpu;

/// <summary>
/// Threads that share the loops of one engine with the engine's own thread. Between loops of a step they look for the
/// next one for some microseconds, because waking a thread takes longer than a small product; then they sleep, because
/// other processes want the core. One caller at a time.
/// </summary>
internal sealed class CpuWorkers : IDisposable
{
    /// <summary>Looks for a next loop before a thread sleeps: about 20 microseconds.</summary>
    private const int LooksMax = 400;

    /// <summary>Looks for others' last pieces before the caller offers them its core.</summary>
    private const int LooksBeforeYield = 200;

    private readonly object _gate = new();
    private readonly Thread[] _threads;
    private Action<int>? _body;
    private int _count;
    private int _next;
    private int _loop;
    private int _busy;
    private int _sleeping;
    private Exception? _failure;
    private volatile bool _isOpen;
    private volatile bool _isDisposed;

    /// <param name="threads">The caller's own included, at least 1.</param>
    public CpuWorkers(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Count = threads;
        _threads = new Thread[threads - 1];
        for (var i = 0; i < _threads.Length; i++)
        {
            _threads[i] = new Thread(Work) { IsBackground = true, Name = $"cpu-worker-{i + 1}" };
            _threads[i].Start();
        }
    }

    /// <summary>Threads that share a loop, the caller's included.</summary>
    public int Count { get; }

    /// <summary>Runs the body for 0 to <paramref name="count"/> - 1 on all threads; returns when all are
    /// done.</summary>
    /// <exception cref="AggregateException">A body failed on another thread; the remaining ones may not have
    /// run.</exception>
    public void Run(int count, Action<int> body)
    {
        if (_threads.Length == 0 || count <= 1)
        {
            for (var i = 0; i < count; i++) body(i);
            return;
        }

        ObjectDisposedException.ThrowIf(_isDisposed, this);
        (_body, _count, _next, _failure) = (body, count, 0, null);
        _isOpen = true;
        Interlocked.Increment(ref _loop);
        if (Volatile.Read(ref _sleeping) > 0)
        {
            lock (_gate) Monitor.PulseAll(_gate);
        }

        try
        {
            Take(body, count);
        }
        finally
        {
            _isOpen = false;
            // A thread that counts itself busy from here on sees that the loop is closed.
            Interlocked.MemoryBarrier();
            WaitForOthers();
            _body = null;
        }

        if (_failure is { } failure) throw new AggregateException(failure);
    }

    public void Dispose()
    {
        _isDisposed = true;
        lock (_gate) Monitor.PulseAll(_gate);
        foreach (var thread in _threads) thread.Join();
    }

    private void WaitForOthers()
    {
        for (var looks = 0; Volatile.Read(ref _busy) != 0; looks++)
        {
            if (looks < LooksBeforeYield) Thread.SpinWait(10);
            else Thread.Yield();
        }
    }

    private void Take(Action<int> body, int count)
    {
        for (var i = Interlocked.Increment(ref _next) - 1; i < count; i = Interlocked.Increment(ref _next) - 1) body(i);
    }

    private void Work()
    {
        for (var seen = 0; AwaitLoop(ref seen);)
        {
            Interlocked.Increment(ref _busy);
            try
            {
                if (_isOpen) Take(_body!, _count);
            }
#pragma warning disable CA1031 // The caller throws it on its own thread.
            catch (Exception error)
#pragma warning restore CA1031
            {
                Volatile.Write(ref _next, _count);
                _failure = error;
            }
            finally
            {
                Interlocked.Decrement(ref _busy);
            }
        }
    }

    /// <summary>Waits for a loop after the one that was seen.</summary>
    /// <returns>False when there will be none.</returns>
    private bool AwaitLoop(ref int seen)
    {
        for (var looks = 0; looks < LooksMax; looks++)
        {
            if (_isDisposed) return false;
            if (Volatile.Read(ref _loop) != seen) return Saw(ref seen);
            Thread.SpinWait(5);
        }

        lock (_gate)
        {
            // A caller that does not see this thread asleep has counted its loop before, and it is seen below.
            Interlocked.Increment(ref _sleeping);
            while (!_isDisposed && Volatile.Read(ref _loop) == seen) Monitor.Wait(_gate);
            Interlocked.Decrement(ref _sleeping);
        }

        return !_isDisposed && Saw(ref seen);
    }

    private bool Saw(ref int seen)
    {
        seen = Volatile.Read(ref _loop);
        return true;
    }
}
