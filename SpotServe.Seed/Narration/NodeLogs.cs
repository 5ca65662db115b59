using System.Collections.Concurrent;

namespace SpotServe.Seed.Narration;

/// <summary>One log file for each node process. Thread-safe. A file stops growing at <see cref="BytesMax"/>.</summary>
internal sealed class NodeLogs : IDisposable
{
    private const long BytesMax = 64 << 20;
    private const int LastLinesMax = 10;
    private readonly ConcurrentDictionary<int, Lazy<NodeLog>> _logs = new();
    private readonly string _folder;

    public NodeLogs(string folder)
    {
        _folder = folder;
        Directory.CreateDirectory(folder);
    }

    public string PathOf(int node) => Path.Combine(_folder, $"node-{node}.log");

    public void Write(int node, string line) => LogOf(node).Write(line);

    /// <summary>What the node wrote last, oldest first; at most 10 lines.</summary>
    public IReadOnlyList<string> LastLines(int node) => LogOf(node).LastLines();

    public void Dispose()
    {
        foreach (var log in _logs.Values) log.Value.Dispose();
    }

    // Lazy: standard output and error come on two threads, and a file can be opened for writing only once.
    private NodeLog LogOf(int node) =>
        _logs.GetOrAdd(node, index => new Lazy<NodeLog>(() => new NodeLog(PathOf(index)))).Value;

    private sealed class NodeLog(string path) : IDisposable
    {
        private readonly StreamWriter _file = new(path, append: false) { AutoFlush = true };
        private readonly Queue<string> _last = new();

        public void Write(string line)
        {
            lock (_file)
            {
                if (_last.Count == LastLinesMax) _last.Dequeue();
                _last.Enqueue(line);
                if (_file.BaseStream is { CanWrite: true, Position: < BytesMax }) _file.WriteLine(line);
            }
        }

        public IReadOnlyList<string> LastLines()
        {
            lock (_file) return [.. _last];
        }

        public void Dispose()
        {
            lock (_file) _file.Dispose();
        }
    }
}
