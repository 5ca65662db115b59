using System.Collections.Immutable;
using SpotServe.Actors.Requests;

namespace SpotServe.Seed.Api;

/// <summary>What this process knows of a request besides its tokens.</summary>
internal sealed record RequestNotes(
    long Created, int PromptTokens, ImmutableArray<string> Stops, ImmutableArray<int> StopTokens);

/// <summary>
/// Notes of the latest requests, for clients that read one again. Not durable: after a restart a request can still be
/// read, but its stop strings are forgotten and its end is the cluster's.
/// </summary>
internal sealed class RequestMemory(int requestsMax)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<RequestId, RequestNotes> _notes = [];
    private readonly Queue<RequestId> _oldest = [];

    public void Add(RequestId id, RequestNotes notes)
    {
        lock (_lock)
        {
            if (!_notes.TryAdd(id, notes)) return;
            _oldest.Enqueue(id);
            if (_oldest.Count > requestsMax) _notes.Remove(_oldest.Dequeue());
        }
    }

    public RequestNotes? Find(RequestId id)
    {
        lock (_lock) return _notes.GetValueOrDefault(id);
    }
}
