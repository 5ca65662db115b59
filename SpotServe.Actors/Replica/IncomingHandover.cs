using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Scheduling;
using static SpotServe.Actors.Replica.HandoverProtocol;

namespace SpotServe.Actors.Replica;

/// <summary>
/// The new replica's side of all handovers to it: which old replicas are still to come, what they told of, and which
/// page ids their pages take. The home's pages keep their ids where these exist here; all others take ids that the
/// home has set aside, or, when no replica is home, simply the next ones.
/// </summary>
internal sealed class IncomingHandover
{
    private readonly Epoch _epoch;
    private readonly int _pageCount;
    private readonly IActorRef _self;
    private readonly PageCopyQueue _copies;
    private readonly SortedDictionary<int, Source> _sources = [];
    private readonly Queue<int> _reserved = [];
    private readonly List<ArrivingPages> _unplaced = [];
    private int _nextPage;

    public IncomingHandover(
        Epoch epoch, IReadOnlyList<int> expects, int pageCount, PageCopyQueue copies, IActorRef self)
    {
        _epoch = epoch;
        _pageCount = pageCount;
        _self = self;
        _copies = copies;
        foreach (var replica in expects) _sources.TryAdd(replica, new Source());
    }

    /// <summary>Old replicas that have not sent their last.</summary>
    public IReadOnlyCollection<int> Missing =>
        [.. _sources.Where(source => !source.Value.IsOver).Select(source => source.Key)];

    /// <summary>All have sent their last and all pages are where they belong, or are given up.</summary>
    public bool IsComplete => _sources.Values.All(source => source.IsOver) && _copies.IsIdle && _unplaced.Count == 0;

    /// <summary>The home, or a replica that may be it, can still write to pages that are shared with it.</summary>
    public bool IsHomeMissing => Home is { } home
        ? !home.IsOver
        : _sources.Values.Any(source => source is { IsOver: false, IsHome: not false });

    /// <summary>What old replicas said that they had for this one and that did not come. Nothing is known of one that
    /// died first.</summary>
    public HandoverTotal Missed
    {
        get
        {
            var over = _sources.Values.Where(source => source.Total is not null).ToArray();
            return new HandoverTotal(
                over.Sum(source => Math.Max(0, source.Total!.Sequences - source.Handed.Count)),
                over.Sum(source => Math.Max(0, source.Total!.CachedTokens - source.CachedTokens)));
        }
    }

    public IEnumerable<IActorRef> Leaders =>
        _sources.Values.Where(source => source.Leader is not null).Select(source => source.Leader!);

    private Source? Home => _sources.Values.FirstOrDefault(source => source.IsHome == true);

    /// <summary>True when the sender is to be watched.</summary>
    public bool OnOpened(HandoverOpened opened, IActorRef leader)
    {
        if (!_sources.TryGetValue(opened.OldReplica, out var source) || source.IsHome is not null) return false;
        source.IsHome = opened.IsHome;
        source.Leader = leader;
        if (opened.IsHome)
        {
            foreach (var page in opened.Reserved.Where(page => page >= 0 && page < _pageCount)) _reserved.Enqueue(page);
        }

        PlaceAll();
        return true;
    }

    public void OnReady(PagesReady ready, IActorRef leader)
    {
        // Rounds come one at a time, in order: an older one is a duplicate. After the end only the end counts.
        if (!_sources.TryGetValue(ready.OldReplica, out var source) || source.IsOver) return;
        if (ready.Round <= source.LastRound) return;
        source.LastRound = ready.Round;
        source.Leader ??= leader;
        var parts = ImmutableArray.CreateBuilder<ArrivingPart>();
        foreach (var pages in ready.Sequences)
        {
            var sequence = source.Sequence(pages.Id);
            if (sequence.Handed is not null) continue;
            if (sequence.Append(pages.Residence, pages.FirstIndex, pages.Pages, pages.Births) is
                { } part) parts.Add(part);
        }

        Place(new ArrivingPages(ready.OldReplica, ready.Round, parts.DrainToImmutable()));
    }

    public void OnHandedOver(SequencesHandedOver handedOver)
    {
        if (!_sources.TryGetValue(handedOver.OldReplica, out var source) || source.IsOver) return;
        var parts = ImmutableArray.CreateBuilder<ArrivingPart>();
        foreach (var handed in handedOver.Sequences)
        {
            var sequence = source.Sequence(handed.Id);
            if (sequence.Handed is not null) continue;   // a duplicate
            sequence.Handed = handed;
            source.Handed.Add(sequence);
            if (sequence.Append(handed.Residence, handed.FirstIndex, handed.Pages, handed.Births) is { } part)
                parts.Add(part);
        }

        if (parts.Count > 0) Place(new ArrivingPages(handedOver.OldReplica, null, parts.DrainToImmutable()));
        source.IsOver = handedOver.IsLast;
        source.Total = handedOver.Total;
        PlaceAll();   // Perhaps there is no home after all.
    }

    /// <summary>A copy is over. False when it is not one of these.</summary>
    public bool OnCopied(long job, long bytes, bool arrived)
    {
        if (!_copies.TryEnd(job, bytes, out var copy)) return false;
        End(copy.Content, arrived);
        return true;
    }

    /// <summary>An old replica's actor died: what it has not sent does not come.</summary>
    public bool OnTerminated(IActorRef leader)
    {
        var dead = _sources.Values.Where(source => leader.Equals(source.Leader)).ToArray();
        foreach (var source in dead) source.IsOver = true;
        if (dead.Length > 0) PlaceAll();
        return dead.Length > 0;
    }

    /// <summary>What was handed over, each with its pages if all of them are here.</summary>
    public ImmutableArray<(HandedSequence Handed, SequenceState State)> Take()
    {
        HashSet<int> busy = [.. _copies.BusyPages];
        Dictionary<int, ArrivingPage> taken = [];
        Dictionary<RequestId, (HandedSequence, SequenceState)> sequences = [];
        foreach (var sequence in _sources.Values.SelectMany(source => source.Handed))
        {
            var handed = sequence.Handed!;
            var pages = sequence.Pages;
            // From elsewhere to be trusted only so far: a page with two contents would be a bug of the whole process
            // here.
            if (pages.DistinctBy(page => page.To).Count() != pages.Length
                || pages.Any(page => busy.Contains(page.To) || taken.GetValueOrDefault(page.To, page) != page))
                pages = [];
            var state = new SequenceState(
                handed.Id, handed.Spec, handed.Generated, handed.CachedTokens, [.. pages.Select(page => page.To)])
            {
                Logprobs = handed.Logprobs,
                KeptPages = Math.Min(handed.KeptPages, pages.Length),
                RunsAlone = handed.RunsAlone,
            };
            if (!sequences.TryAdd(handed.Id, (handed, state))) continue;
            foreach (var page in pages) taken[page.To] = page;
        }

        return [.. sequences.Values];
    }

    private void PlaceAll()
    {
        var unplaced = _unplaced.ToArray();
        _unplaced.Clear();
        foreach (var pages in unplaced) Place(pages);
    }

    /// <summary>Gives pages their ids and has them copied; those of a replica whose part is not clear yet
    /// wait.</summary>
    private void Place(ArrivingPages pages)
    {
        var source = _sources[pages.OldReplica];
        var homeIsKnown = Home is not null || _sources.Values.All(other => other.IsOver || other.IsHome is not null);
        if (source.IsHome is null || !homeIsKnown)
        {
            if (source is { IsHome: null, IsOver: true }) End(pages, arrived: false);
            else _unplaced.Add(pages);
            return;
        }

        var from = ImmutableArray.CreateBuilder<int>();
        var to = ImmutableArray.CreateBuilder<int>();
        var fresh = ImmutableArray.CreateBuilder<ArrivingPage>();
        var parts = pages.Parts;
        foreach (var part in pages.Parts.Where(part => !part.IsVoid))
        {
            if (TryAssign(source, part) is not { } assigned)
            {
                part.Sequence.End(part, arrived: false);
                parts = parts.Remove(part);   // over already: the copy of the others is not its end once more
                continue;
            }

            part.Sequence.Assign(assigned.Select(one => one.Page));
            for (var i = 0; i < assigned.Length; i++)
            {
                if (!assigned[i].IsFresh) continue;
                fresh.Add(assigned[i].Page);
                from.Add(part.Pages[i]);
                to.Add(assigned[i].Page.To);
            }
        }

        pages = pages with { Parts = parts, Fresh = fresh.DrainToImmutable() };
        if (from.Count == 0) End(pages, arrived: true);
        else _copies.Ask(pages.OldReplica, from.DrainToImmutable(), to.DrainToImmutable(), pages);
    }

    /// <summary>The pages of a part: those that other sequences brought or bring, and new ones with ids for the rest.
    /// Null when there are too few ids.</summary>
    private (ArrivingPage Page, bool IsFresh)[]? TryAssign(Source source, ArrivingPart part)
    {
        var assigned = new (ArrivingPage Page, bool IsFresh)[part.Pages.Length];
        var hasBirths = part.Births.Length == part.Pages.Length;
        for (var i = 0; i < assigned.Length; i++)
        {
            if (hasBirths && source.Shared.TryGetValue(part.Births[i], out var known) && known.Arrived != false)
                assigned[i] = (known, false);
            else if (NextId(source, part.Pages[i]) is { } id) assigned[i] = (new ArrivingPage(id), true);
            else return null;
        }

        for (var i = 0; hasBirths && i < assigned.Length; i++) source.Shared[part.Births[i]] = assigned[i].Page;
        return assigned;
    }

    private int? NextId(Source source, int page) =>
        source.IsHome == true && page < _pageCount ? page
        : _reserved.TryDequeue(out var reserved) ? reserved
        : Home is null && _nextPage < _pageCount ? _nextPage++
        : null;

    private void End(ArrivingPages pages, bool arrived)
    {
        foreach (var page in pages.Fresh) page.Arrived = arrived;
        foreach (var part in pages.Parts) part.Sequence.End(part, arrived);
        if (pages.Round is not { } round) return;
        _sources[pages.OldReplica].Leader?.Tell(new PagesTaken(_epoch, pages.OldReplica, round), _self);
    }

    private sealed class Source
    {
        private readonly Dictionary<RequestId, ArrivingSequence> _sequences = [];

        /// <summary>Its pages by their births.</summary>
        public Dictionary<long, ArrivingPage> Shared { get; } = [];

        public IActorRef? Leader { get; set; }

        /// <summary>Null until it has opened.</summary>
        public bool? IsHome { get; set; }

        public int LastRound { get; set; }

        /// <summary>It has sent its last, or died.</summary>
        public bool IsOver { get; set; }

        /// <summary>What it had for this replica; null until it said so.</summary>
        public HandoverTotal? Total { get; set; }

        /// <summary>Sequences as the last step left them, in the order of their coming.</summary>
        public List<ArrivingSequence> Handed { get; } = [];

        /// <summary>Tokens of these that were in pages.</summary>
        public long CachedTokens => Handed.Sum(sequence => (long)sequence.Handed!.CachedTokens);

        public ArrivingSequence Sequence(RequestId id)
        {
            if (_sequences.TryGetValue(id, out var sequence)) return sequence;
            return _sequences[id] = new ArrivingSequence();
        }
    }
}
