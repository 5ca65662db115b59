using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using SpotServe.Actors.Scheduling;

namespace SpotServe.Actors.Replica;

/// <summary>
/// The last requests that finished, so that one submitted again (its sender missed the end, or moved) gets its tokens
/// and not a new generation. Bounded by count: the oldest are forgotten first.
/// </summary>
internal sealed class FinishedRequests(int requestsMax)
{
    private readonly Dictionary<RequestId, LinkedListNode<Finished>> _byId = [];
    private readonly LinkedList<Finished> _oldestFirst = [];

    public int Count => _byId.Count;

    public void Add(Sequence sequence, FinishReason reason, string? error = null)
    {
        var id = sequence.Id;
        Remove(id);
        if (_byId.Count == requestsMax) Remove(_oldestFirst.First!.Value.Id);
        _byId.Add(id, _oldestFirst.AddLast(new Finished(
            id, [.. sequence.Generated], [.. sequence.Logprobs], reason, error)));
        Invariant.Holds(_byId.Count == _oldestFirst.Count);
    }

    public bool TryGet(RequestId id, [NotNullWhen(true)] out Finished? finished)
    {
        finished = _byId.TryGetValue(id, out var node) ? node.Value : null;
        return finished is not null;
    }

    public void Remove(RequestId id)
    {
        if (_byId.Remove(id, out var node)) _oldestFirst.Remove(node);
    }

    /// <param name="Error">Why it failed, when it did.</param>
    internal sealed record Finished(
        RequestId Id, ImmutableArray<int> Generated, ImmutableArray<TokenLogprobs> Logprobs, FinishReason Reason,
        string? Error);
}
