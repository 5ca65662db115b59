using System.Collections.Concurrent;

namespace SpotServe.Seed.Narration;

/// <summary>One log file for each node process. Thread-safe. A file stops growing at <see cref="BytesMax"/>.</summary>
internal sealed class NodeLogs : IDisposable
{
    private const long BytesMax = 64 << 20;
    private readonly ConcurrentDictionary<int, StreamWriter> _files = new();
    private readonly string _folder;

    public NodeLogs(string folder)
    {
        _folder = folder;
        Directory.CreateDirectory(folder);
    }

    public void Write(int node, string line)
    {
        var file = _files.GetOrAdd(node, Open);
        lock (file)
        {
            if (file.BaseStream.CanWrite && file.BaseStream.Position < BytesMax) file.WriteLine(line);
        }
    }

    public void Dispose()
    {
        foreach (var file in _files.Values)
        {
            lock (file) file.Dispose();
        }
    }

    private StreamWriter Open(int node) =>
        new(Path.Combine(_folder, $"node-{node}.log"), append: false) { AutoFlush = true };
}
