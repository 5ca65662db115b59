using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// A replica with continuous batching, a token at a time without an event a token: while the same sequences decode,
/// each has gained as many tokens as steps fit into the time. A prompt that is computed holds up the others for as long
/// as its slowest stage takes. Memory is counted in KV pages.
/// </summary>
/// <param name="costOf">Times by the number of sequences; a prompt's are for <paramref name="usualPrompt"/>
/// tokens.</param>
/// <param name="sizeMax">Sequences at once.</param>
/// <param name="pagesMax">KV pages; a sequence takes those of its full length from the start.</param>
/// <param name="completed">Told of each request that is complete.</param>
/// <param name="ended">Told afterwards that places are free.</param>
internal sealed class ContinuousReplica(
    VirtualTime time,
    Func<int, ReplicaCost> costOf,
    int sizeMax,
    long pagesMax,
    int usualPrompt,
    Action<SimulatedRequest> completed,
    Action ended)
{
    private readonly ReplicaCost?[] _costs = new ReplicaCost?[sizeMax + 1];
    private readonly List<Sequence> _sequences = [];
    private readonly PriorityQueue<Sequence, (double Clock, int Index)> _ends = new();
    private double _clock;
    private double _clockAt;
    private double _stalledUntil;
    private int _decoding;
    private long _version;
    private bool _stopped;

    /// <summary>Whether new requests may come.</summary>
    public bool Accepts { get; set; }

    public int Count => _sequences.Count;

    public long PagesUsed { get; private set; }

    public long TokensGenerated { get; private set; }

    public bool HasRoomFor(SimulatedRequest request) =>
        !_stopped && _sequences.Count < sizeMax && PagesUsed + Pages(request) <= pagesMax;

    /// <summary>Computes a request's prompt, and the tokens that it has already, then decodes.</summary>
    public void Admit(SimulatedRequest request)
    {
        var sequence = Add(request);
        Advance();
        var tokens = (request.PromptTokens + request.Decoded) / (double)usualPrompt;
        var start = Math.Max(time.Now, _stalledUntil);
        var stall = Math.Max(0, Cost(Math.Min(2, sizeMax)).Overhead - Cost(1).Overhead) * tokens;
        if (sizeMax == 1) stall = Cost(1).Prefill * tokens;
        _stalledUntil = start + stall;
        time.At(start + Math.Max(stall, Cost(1).Prefill * tokens), () => Join(sequence));
        Plan();
    }

    /// <summary>Goes on with a request whose pages are here.</summary>
    public void Adopt(SimulatedRequest request) => Join(Add(request));

    /// <summary>The requests that have pages, with the tokens that they have by now.</summary>
    public IEnumerable<CachedRequest> Cached()
    {
        Advance();
        foreach (var sequence in _sequences.Where(sequence => sequence.IsDecoding))
        {
            var cached = sequence.Request.Cached;
            var tokens = Tokens(sequence);
            yield return cached with { Tokens = cached.Tokens + tokens, Decoded = cached.Decoded + tokens };
        }
    }

    /// <summary>Ends the replica after the step it is in.</summary>
    /// <returns>Its requests, and whether their keys and values are in pages.</returns>
    public List<(SimulatedRequest Request, bool HasCache)> Stop()
    {
        Advance();
        var left = new List<(SimulatedRequest, bool)>(_sequences.Count);
        foreach (var sequence in _sequences)
        {
            var tokens = sequence.IsDecoding ? Tokens(sequence) : 0;
            sequence.Request.Advance(tokens);
            TokensGenerated += tokens;
            left.Add((sequence.Request, sequence.IsDecoding));
        }

        _stopped = true;
        Accepts = false;
        _version++;
        _sequences.Clear();
        _ends.Clear();
        (_decoding, PagesUsed) = (0, 0);
        return left;
    }

    private static long Pages(SimulatedRequest request) =>
        KvPage.Count(request.PromptTokens + request.OutputTokens);

    private Sequence Add(SimulatedRequest request)
    {
        Invariant.Holds(HasRoomFor(request));
        var sequence = new Sequence(request);
        _sequences.Add(sequence);
        PagesUsed += Pages(request);
        return sequence;
    }

    private void Join(Sequence sequence)
    {
        if (_stopped || sequence.IsDecoding) return;
        Advance();
        sequence.JoinedAt = _clock;
        sequence.IsDecoding = true;
        _decoding++;
        _ends.Enqueue(sequence, (_clock + sequence.Request.Remaining, sequence.Request.Index));
        Plan();
    }

    private int Tokens(Sequence sequence) =>
        Math.Clamp((int)(_clock - sequence.JoinedAt), 0, sequence.Request.Remaining - 1);

    /// <summary>Steps that were run since the last look. In a stall there are none.</summary>
    private void Advance()
    {
        var from = Math.Max(_clockAt, _stalledUntil);
        if (_decoding > 0 && time.Now > from) _clock += (time.Now - from) / Cost(_decoding).Step;
        _clockAt = time.Now;
    }

    /// <summary>Schedules the next end; whatever was scheduled before counts no more.</summary>
    private void Plan()
    {
        var version = ++_version;
        if (!_ends.TryPeek(out _, out var next)) return;
        var left = Math.Max(0, next.Clock - _clock) * Cost(_decoding).Step;
        time.At(Math.Max(time.Now, _stalledUntil) + left, () => End(version));
    }

    private void End(long version)
    {
        if (version != _version) return;
        Advance();
        // What is due at the same step ends together; rounding of the clock must not part them.
        const double Rounding = 1e-6;
        while (_ends.TryPeek(out var sequence, out var end) && end.Clock <= _clock + Rounding)
        {
            _ends.Dequeue();
            _decoding--;
            _sequences.Remove(sequence);
            PagesUsed -= Pages(sequence.Request);
            TokensGenerated += sequence.Request.Remaining;
            sequence.Request.Advance(sequence.Request.Remaining);
            sequence.Request.Complete(time.Now);
            completed(sequence.Request);
        }

        Plan();
        ended();
    }

    private ReplicaCost Cost(int sequences) => _costs[sequences] ??= costOf(sequences);

    private sealed class Sequence(SimulatedRequest request)
    {
        public SimulatedRequest Request => request;

        /// <summary>The replica's clock, in tokens, when it began to decode.</summary>
        public double JoinedAt { get; set; }

        public bool IsDecoding { get; set; }
    }
}
