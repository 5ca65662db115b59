using System.Collections.Immutable;
using static SpotServe.Actors.Replica.ReplicaControlProtocol;

namespace SpotServe.Actors.Replica;

/// <summary>Counts the requests that a replica goes on with after they had lost another one. Nothing is counted before
/// it was done: what a request had cached before is computed again once it draws its next token.</summary>
internal sealed class ResumedTally
{
    private const int EpochsMax = 4;

    private readonly Dictionary<RequestId, (Epoch LostIn, int Tokens)> _waiting = [];
    private readonly SortedDictionary<Epoch, (int Resumed, long Tokens)> _done = [];

    /// <summary>Whether something was counted since the last report.</summary>
    public bool HasNews { get; private set; }

    public ImmutableArray<ResumedRequests> Report()
    {
        HasNews = false;
        if (_done.Count + _waiting.Count == 0) return [];
        var waiting = _waiting.Values.CountBy(entry => entry.LostIn).ToDictionary();
        return
        [
            .. _done.Keys.Union(waiting.Keys).Order().TakeLast(EpochsMax).Select(epoch =>
            {
                var (resumed, tokens) = _done.GetValueOrDefault(epoch);
                return new ResumedRequests(epoch, resumed, tokens, waiting.GetValueOrDefault(epoch));
            }),
        ];
    }

    /// <summary>A request was taken on. It counts when another replica ran it before.</summary>
    public void OnTaken(ReplicaProtocol.Submit submit)
    {
        var (prompt, committed) = (submit.Request.Spec.Prompt, submit.Request.Committed);
        if (submit.LostIn is null && committed.IsEmpty) return;
        // The prompt alone may have been computed or not; nobody knows.
        var tokens = committed.IsEmpty ? 0 : prompt.Length + committed.Length;
        _waiting[submit.Id] = (submit.LostIn ?? Epoch.None, tokens);
    }

    /// <summary>A request drew a token.</summary>
    public void OnToken(RequestId id)
    {
        if (_waiting.Count == 0 || !_waiting.Remove(id, out var entry)) return;
        var (resumed, tokens) = _done.GetValueOrDefault(entry.LostIn);
        _done[entry.LostIn] = (resumed + 1, tokens + entry.Tokens);
        if (_done.Count > EpochsMax) _done.Remove(_done.Keys.First());
        HasNews = true;
    }

    /// <summary>A request is over, or goes on elsewhere.</summary>
    public void OnGone(RequestId id) => _waiting.Remove(id);
}
