namespace SpotServe.Actors.Gateway;

/// <summary>Which bound keeps a request out.</summary>
internal enum DoorBound
{
    /// <summary>As many requests are open as may be.</summary>
    Requests,

    /// <summary>As many tokens wait as may wait.</summary>
    Tokens,

    /// <summary>Its client has its share of the open requests.</summary>
    ClientRequests,

    /// <summary>Its client has its share of the waiting tokens.</summary>
    ClientTokens,
}

/// <summary>
/// What is open at a gateway, whose it is, and how many tokens wait: of requests that have not got their first token,
/// prompt and longest completion together. Says whether one more may come. No clock, no Akka; constant time.
/// </summary>
/// <remarks>Laws: no more requests than <paramref name="requestsMax"/> are let in, and no more tokens wait than
/// <paramref name="tokensMax"/>, unless it is a single request; one that is alone is let in whatever its length. What
/// another gateway let in, and moved here, is counted and may exceed both.</remarks>
internal sealed class OpenLedger(int requestsMax, long tokensMax)
{
    private readonly Dictionary<RequestId, Entry> _entries = [];
    private readonly Dictionary<string, Held> _clients = [];

    public int Count => _entries.Count;

    public long WaitingTokens { get; private set; }

    /// <summary>Clients that have a request open.</summary>
    public int ClientCount => _clients.Count;

    /// <summary>Why a request may not come now; null when it may.</summary>
    public DoorBound? BoundFor(string client, long tokens)
    {
        if (Count >= requestsMax) return DoorBound.Requests;
        if (WaitingTokens > 0 && WaitingTokens + tokens > tokensMax) return DoorBound.Tokens;
        var held = _clients.GetValueOrDefault(client);
        if (!FairShare.Allows(held.Requests, Count, requestsMax)) return DoorBound.ClientRequests;
        return FairShare.Allows(held.Tokens, WaitingTokens, tokensMax) ? null : DoorBound.ClientTokens;
    }

    /// <summary>Tokens by which the bound would be exceeded.</summary>
    public long Excess(long tokens) => Math.Max(0, WaitingTokens + tokens - tokensMax);

    public (int Requests, long Tokens) Of(string client)
    {
        var held = _clients.GetValueOrDefault(client);
        return (held.Requests, held.Tokens);
    }

    /// <summary>A request is open. Changes nothing when it is known.</summary>
    /// <param name="waits">Whether it has no token yet.</param>
    public void Add(RequestId id, string client, long tokens, bool waits)
    {
        if (!_entries.TryAdd(id, new Entry(client, waits ? tokens : 0))) return;
        Change(client, 1, waits ? tokens : 0);
    }

    /// <summary>It has its first token.</summary>
    /// <returns>Tokens that wait no more; 0 when it did not wait, or is not known.</returns>
    public long Begin(RequestId id)
    {
        if (!_entries.TryGetValue(id, out var entry) || entry.Tokens == 0) return 0;
        _entries[id] = entry with { Tokens = 0 };
        Change(entry.Client, 0, -entry.Tokens);
        return entry.Tokens;
    }

    /// <summary>It is over. Changes nothing when it is not known.</summary>
    /// <returns>Tokens that wait no more.</returns>
    public long Remove(RequestId id)
    {
        if (!_entries.Remove(id, out var entry)) return 0;
        Change(entry.Client, -1, -entry.Tokens);
        return entry.Tokens;
    }

    private void Change(string client, int requests, long tokens)
    {
        WaitingTokens += tokens;
        var held = _clients.GetValueOrDefault(client);
        held = new Held(held.Requests + requests, held.Tokens + tokens);
        Invariant.Holds(held.Requests >= 0);
        Invariant.Holds(held.Tokens >= 0);
        if (held.Requests > 0) _clients[client] = held;
        else _clients.Remove(client);
    }

    /// <param name="Tokens">That wait.</param>
    private readonly record struct Entry(string Client, long Tokens);

    private readonly record struct Held(int Requests, long Tokens);
}
