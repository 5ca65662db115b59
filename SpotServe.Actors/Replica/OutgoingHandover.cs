using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Scheduling;
using static SpotServe.Actors.Replica.HandoverProtocol;

namespace SpotServe.Actors.Replica;

/// <summary>
/// The old replica's side of one handover: which full pages each target has been told of, and what is left for the
/// end. A page may be told of once it is full, because it never changes while its sequence keeps it; a sequence that
/// lost its pages in between is told of from its first page again.
/// </summary>
internal sealed class OutgoingHandover
{
    private readonly int _replica;
    private readonly ReplicaScheduler _scheduler;
    private readonly LargeMessages _large;
    private readonly IActorRef _self;
    private readonly Target[] _targets;
    private readonly Dictionary<RequestId, Target> _targetOf = [];
    private IActorRef _asker;
    private int _lastRound;
    private bool _isReadyTold;

    /// <param name="lastRound">Of the handover before, so that a late answer to it is not taken for one to
    /// this.</param>
    public OutgoingHandover(
        BeginHandover begin,
        int replica,
        ReplicaScheduler scheduler,
        int lastRound,
        LargeMessages large,
        IActorRef asker,
        IActorRef self)
    {
        _replica = replica;
        _scheduler = scheduler;
        _large = large;
        _self = self;
        _asker = asker;
        _lastRound = lastRound;
        Epoch = begin.Epoch;
        NewEpoch = begin.NewEpoch;
        _targets = [.. begin.Targets.Select(spec => new Target(spec, spec.IsHome
            ? scheduler.SetAsidePages(spec.ReservedPages, spec.PageCount)
            : []))];
        foreach (var target in _targets)
        {
            foreach (var id in target.Spec.Requests) _targetOf.TryAdd(id, target);
        }
    }

    public Epoch Epoch { get; }

    public Epoch NewEpoch { get; }

    public int LastRound => _lastRound;

    public IEnumerable<IActorRef> Leaders => _targets.Select(target => target.Leader);

    /// <summary>Tells each target that it is one; harmless when repeated.</summary>
    public void Open()
    {
        foreach (var target in _targets)
        {
            Tell(target, new HandoverOpened(NewEpoch, _replica, target.Spec.IsHome, target.Reserved));
        }
    }

    /// <summary>The same command again: its sender, or what the targets were told, may have been lost.</summary>
    public void Repeat(IActorRef asker)
    {
        _asker = asker;
        _isReadyTold = false;
        Open();
    }

    /// <summary>Next rounds for the targets that wait for none, and word to the asker when little is left.</summary>
    public void Advance()
    {
        foreach (var target in _targets) Advance(target);
        // With a dead target the change is over: a word of being ready would stop what serves for nothing.
        if (_isReadyTold || _targets.Any(target => target.IsDead)) return;
        if (!_targets.All(target => target.IsCaughtUp || target.IsStopped)) return;
        _isReadyTold = true;
        _asker.Tell(new HandoverReady(Epoch, _replica, NewEpoch), _self);
    }

    public void OnTaken(PagesTaken taken)
    {
        foreach (var target in _targets)
        {
            if (target.Waiting == taken.Round) target.Waiting = null;
        }

        Advance();
    }

    /// <summary>Counts a tick; targets that owe an answer for too many get no more rounds.</summary>
    /// <returns>Targets that were given up just now.</returns>
    public IReadOnlyList<int> Tick(long ticksMax)
    {
        List<int> stopped = [];
        foreach (var target in _targets.Where(target => target is { IsStopped: false, Waiting: not null }))
        {
            if (++target.TicksWaited < ticksMax) continue;
            target.IsStopped = true;
            stopped.Add(target.Spec.NewReplica);
        }

        Advance();
        return stopped;
    }

    /// <summary>A target's actor died: nothing more is sent to it.</summary>
    public bool OnTerminated(IActorRef leader)
    {
        var dead = _targets.Where(target => target.Leader.Equals(leader)).ToArray();
        foreach (var target in dead) (target.IsStopped, target.IsDead) = (true, true);
        return dead.Length > 0;
    }

    /// <summary>After the last step: sends the rest, with the sequences' state.</summary>
    /// <param name="subscriberOf">Who hears of a request's tokens, or null.</param>
    /// <returns>Why some could not be handed over, a line each; their targets hear how many are missing.</returns>
    public IReadOnlyList<string> Finish(Func<RequestId, Subscriber?> subscriberOf)
    {
        List<string> missing = [];
        foreach (var state in _scheduler.Export())
        {
            if (TargetOf(state.Id) is { } target) target.Handed.Add(Hand(target, state, subscriberOf(state.Id)));
            else missing.Add($"{state.Id} has no new replica");
        }

        foreach (var target in _targets) missing.AddRange(SendHanded(target));
        return missing;
    }

    /// <summary>What <see cref="Finish"/> sent, once more: some of it may have been lost.</summary>
    public void SendHanded()
    {
        // What is still on its way is not lost.
        foreach (var target in _targets.Where(target => !_large.IsWaiting(target.Leader, _self))) SendHanded(target);
    }

    /// <summary>Nothing comes from here any more: no target waits for it.</summary>
    public void Abandon()
    {
        foreach (var target in _targets.Where(target => !target.IsDead))
        {
            var sequences = _scheduler.Sequences.Where(sequence => TargetOf(sequence.Id) == target).ToArray();
            TellLast(target, [], sequences.Length, sequences.Sum(sequence => (long)sequence.CachedTokens));
        }
    }

    /// <summary>Frees the pages that were set aside.</summary>
    public void GiveBackPages()
    {
        foreach (var target in _targets) _scheduler.GiveBackPages(target.Reserved.AsSpan());
    }

    private void Advance(Target target)
    {
        if (target.IsStopped || target.Waiting is not null) return;
        if (target.Rounds.Count == 0)
        {
            var fresh = _scheduler.Sequences.Where(sequence => TargetOf(sequence.Id) == target)
                .Select(sequence => FreshPages(target, sequence)).Where(pages => pages.Pages.Length > 0).ToArray();
            target.IsCaughtUp |= fresh.All(pages => pages.Pages.Length <= 1);
            foreach (var round in HandoverChunks.Rounds(fresh)) target.Rounds.Enqueue(round);
            if (target.Rounds.Count == 0) return;
        }

        var next = target.Rounds.Dequeue();
        ImmutableArray<SequencePages> told = [.. next.Where(pages => Note(target, pages))];
        target.Waiting = ++_lastRound;
        target.TicksWaited = 0;
        Tell(target, new PagesReady(NewEpoch, _replica, _lastRound, told));
    }

    private List<string> SendHanded(Target target)
    {
        List<string> missing = [];
        if (target.IsDead) return [.. target.Handed.Select(handed => $"{handed.Id}: its new replica is gone")];
        var (count, cached) = (target.Handed.Count, target.Handed.Sum(handed => (long)handed.CachedTokens));
        ImmutableArray<HandedSequence>[] groups = [.. HandoverChunks.Groups(target.Handed)];
        foreach (var group in groups.SkipLast(1))
            Miss(group, Tell(target, new SequencesHandedOver(NewEpoch, _replica, group, IsLast: false)));
        ImmutableArray<HandedSequence> last = groups.Length == 0 ? [] : groups[^1];
        var refusal = TellLast(target, last, count, cached);
        Miss(last, refusal);
        // The target waits for a last message, whatever became of what should have been in it.
        if (refusal is not null) TellLast(target, [], count, cached);
        return missing;

        void Miss(ImmutableArray<HandedSequence> group, SendRefusal? refused)
        {
            if (refused is not null) missing.AddRange(group.Select(handed => $"{handed.Id}: {refused.Reason}"));
        }
    }

    private SendRefusal? TellLast(Target target, ImmutableArray<HandedSequence> sequences, int count, long cached) =>
        Tell(target, new SequencesHandedOver(NewEpoch, _replica, sequences, IsLast: true)
        {
            Total = new HandoverTotal(count, cached),
        });

    private SequencePages FreshPages(Target target, Sequence sequence)
    {
        var full = sequence.CachedTokens / KvPage.Tokens;
        var told = target.ToldOf(sequence);
        ImmutableArray<int> pages = told < full ? [.. sequence.Pages[told..full]] : [];
        return new SequencePages(sequence.Id, told, pages)
        {
            Residence = sequence.Residence,
            Births = BirthsOf(pages),
        };
    }

    private ImmutableArray<long> BirthsOf(ImmutableArray<int> pages) => [.. pages.Select(_scheduler.BirthOf)];

    /// <summary>Notes pages as told. False when they are not what they were when the round was put together.</summary>
    private bool Note(Target target, SequencePages pages)
    {
        if (!_scheduler.TryGet(pages.Id, out var sequence)) return false;
        var end = pages.FirstIndex + pages.Pages.Length;
        if (sequence.Residence != pages.Residence) return false;
        if (target.ToldOf(sequence) != pages.FirstIndex || sequence.CachedTokens < end * KvPage.Tokens) return false;
        if (!sequence.Pages[pages.FirstIndex..end].SequenceEqual(pages.Pages.AsSpan())) return false;
        if (!BirthsOf(pages.Pages).SequenceEqual(pages.Births)) return false;
        target.Told[pages.Id] = new Told(sequence.Residence, end);
        return true;
    }

    private HandedSequence Hand(Target target, SequenceState state, Subscriber? subscriber)
    {
        var known = _scheduler.TryGet(state.Id, out var sequence);
        Invariant.Holds(known);
        var first = Math.Min(target.ToldOf(sequence!), state.Pages.Length);
        ImmutableArray<int> pages = [.. state.Pages.AsSpan()[first..]];
        return new HandedSequence(
            state.Id,
            state.Spec,
            state.Generated,
            state.CachedTokens,
            first,
            pages,
            subscriber?.Entity)
        {
            Gateway = subscriber?.Gateway,
            Births = BirthsOf(pages),
            KeptPages = state.KeptPages,
            Residence = sequence!.Residence,
            Logprobs = state.Logprobs,
            RunsAlone = state.RunsAlone,
        };
    }

    private SendRefusal? Tell(Target target, IMessage message) => _large.Tell(target.Leader, message, _self);

    private Target? TargetOf(RequestId id) => _targetOf.GetValueOrDefault(id) ?? _targets.FirstOrDefault();

    private readonly record struct Told(int Residence, int Pages);

    private sealed class Target(HandoverTarget spec, ImmutableArray<int> reserved)
    {
        public HandoverTarget Spec => spec;

        public IActorRef Leader => spec.Leader;

        public ImmutableArray<int> Reserved => reserved;

        public Dictionary<RequestId, Told> Told { get; } = [];

        public Queue<ImmutableArray<SequencePages>> Rounds { get; } = [];

        public List<HandedSequence> Handed { get; } = [];

        /// <summary>The round that is not answered yet.</summary>
        public int? Waiting { get; set; }

        public long TicksWaited { get; set; }

        public bool IsCaughtUp { get; set; }

        public bool IsStopped { get; set; }

        public bool IsDead { get; set; }

        public int ToldOf(Sequence sequence) =>
            Told.TryGetValue(sequence.Id, out var told) && told.Residence == sequence.Residence ? told.Pages : 0;
    }
}
