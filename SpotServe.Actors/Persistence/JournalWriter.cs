namespace SpotServe.Actors.Persistence;

/// <summary>A database's end of a <see cref="JournalWriter"/>. For one thread.</summary>
internal interface IJournalStore : IDisposable
{
    /// <summary>Writes all of them or none, and returns once they would survive a power cut.</summary>
    void Insert(IReadOnlyList<JournalRow> rows);

    /// <summary>Removes an entity's events up to a sequence number. The last of them stays, marked as deleted, so that
    /// the entity's numbers go on from there.</summary>
    void Delete(string persistenceId, long last);
}

/// <summary>Something that one entity wants done in the journal.</summary>
internal abstract class JournalWork(string persistenceId)
{
    private TaskCompletionSource? _done;

    public string PersistenceId => persistenceId;

    /// <summary>Events to write; none for other work.</summary>
    public virtual IReadOnlyList<JournalRow> Rows => [];

    /// <summary>Does what is not the writing of events.</summary>
    public virtual void Do(IJournalStore store)
    {
    }

    /// <summary>Tells its entity. Called once, on the writer's thread, in the order in which work was given.</summary>
    /// <param name="error">Null when it is done.</param>
    public abstract void Tell(Exception? error);

    /// <summary>Completes after <see cref="Tell"/>. Call it while the work is known not to be over.</summary>
    public Task WhenOver() => (_done ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    public void Over() => _done?.SetResult();
}

/// <summary>
/// Writes the journal, on a thread of its own, because a write holds its thread until the disk has it. What comes while
/// one transaction is under way goes into the next one together. An entity whose event is there already, because
/// another incarnation of it went on elsewhere, fails alone: the others of its transaction are written again. The
/// thread ends with <see cref="Dispose"/>, after what it was given before.
/// </summary>
internal sealed class JournalWriter : IDisposable
{
    /// <summary>Events in a transaction.</summary>
    private const int RowsMax = 1_000;

    private readonly IJournalStore _store;
    private readonly object _lock = new();   // Of the fields below; the thread waits at it.
    private readonly Queue<JournalWork> _waiting = new();
    private readonly List<JournalWork> _current = [];
    private bool _isStopping;

    private readonly List<JournalRow> _rows = [];   // Of the thread.

    /// <param name="store">Disposed of by the thread.</param>
    public JournalWriter(IJournalStore store)
    {
        _store = store;
        new Thread(Run) { IsBackground = true, Name = "journal" }.Start();
    }

    public void Give(JournalWork work)
    {
        lock (_lock)
        {
            _waiting.Enqueue(work);
            if (_waiting.Count == 1) Monitor.Pulse(_lock);
        }
    }

    /// <summary>Completes once nothing that an entity gave before is left to do.</summary>
    public Task WhenDoneFor(string persistenceId)
    {
        lock (_lock)
        {
            var last = _waiting.LastOrDefault(work => work.PersistenceId == persistenceId)
                ?? _current.FindLast(work => work.PersistenceId == persistenceId);
            return last?.WhenOver() ?? Task.CompletedTask;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _isStopping = true;
            Monitor.Pulse(_lock);
        }
    }

    private void Run()
    {
        using (_store)
        {
            while (Take())
            {
                DoCurrent();
                lock (_lock)
                {
                    foreach (var work in _current) work.Over();
                    _current.Clear();
                }
            }
        }
    }

    /// <returns>False when there is nothing to do and never will be.</returns>
    private bool Take()
    {
        lock (_lock)
        {
            while (_waiting.Count == 0)
            {
                if (_isStopping) return false;
                Monitor.Wait(_lock);
            }

            for (var rows = 0; rows < RowsMax && _waiting.TryDequeue(out var work); rows += work.Rows.Count)
                _current.Add(work);
            return true;
        }
    }

    /// <summary>In the order in which it was given; events that follow each other go together.</summary>
    private void DoCurrent()
    {
        for (var from = 0; from < _current.Count;)
        {
            var end = from;
            while (end < _current.Count && _current[end].Rows.Count > 0) end++;
            if (end > from)
            {
                Insert(from, end);
                from = end;
                continue;
            }

            var work = _current[from++];
            work.Tell(Try(() => work.Do(_store)));
        }
    }

    private void Insert(int from, int end)
    {
        _rows.Clear();
        for (var i = from; i < end; i++) _rows.AddRange(_current[i].Rows);
        var error = Try(() => _store.Insert(_rows));
        if (error is not null && end - from > 1 && JournalConflict.IsIn(error))
        {
            var middle = from + ((end - from) / 2);
            Insert(from, middle);
            Insert(middle, end);
            return;
        }

        for (var i = from; i < end; i++) _current[i].Tell(error);
    }

    private static Exception? Try(Action act)
    {
        try
        {
            act();
            return null;
        }
        catch (Exception error)   // whoever gave the work hears of it and decides; the thread goes on for all others
        {
            return error;
        }
    }
}
