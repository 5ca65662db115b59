using System.Collections.Concurrent;
using SpotServe.Actors.Hosting;

namespace SpotServe.Seed.Narration;

/// <summary>One log for each node process, with what it says on standard output and error. Thread-safe.</summary>
internal sealed class NodeLogs(string folder, LogFormat format, TimeProvider clock) : IDisposable
{
    private const int LastLinesMax = 10;
    private readonly ConcurrentDictionary<int, Lazy<NodeLog>> _logs = new();

    public string PathOf(int node) => Path.Combine(folder, $"node-{node}.log");

    public void Write(int node, string line) => LogOf(node).Write(line);

    /// <summary>What the node wrote last, oldest first; at most 10 lines.</summary>
    public IReadOnlyList<string> LastLines(int node) => LogOf(node).LastLines();

    public void Dispose()
    {
        foreach (var log in _logs.Values) log.Value.Dispose();
    }

    // Lazy: standard output and error come on two threads, and a file can be opened for writing only once.
    private NodeLog LogOf(int node) =>
        _logs.GetOrAdd(node, index => new Lazy<NodeLog>(() => new NodeLog(PathOf(index), format, clock))).Value;

    private sealed class NodeLog(string path, LogFormat format, TimeProvider clock) : IDisposable
    {
        private readonly RotatingLog _file = new(path, new RotatingLogOptions { Format = format }, clock);
        private readonly Queue<string> _last = new();

        public void Write(string line)
        {
            lock (_last)
            {
                if (_last.Count == LastLinesMax) _last.Dequeue();
                _last.Enqueue(line);
            }

            _file.Write(line);
        }

        public IReadOnlyList<string> LastLines()
        {
            lock (_last) return [.. _last];
        }

        public void Dispose() => _file.Dispose();
    }
}
