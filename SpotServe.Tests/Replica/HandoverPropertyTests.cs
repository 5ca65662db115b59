using CsCheck;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Scheduling;
using SpotServe.Tests.Fragments;
using SpotServe.Tests.Scheduling;
using Xunit;
using static SpotServe.Actors.Replica.HandoverProtocol;

namespace SpotServe.Tests.Replica;

/// <summary>
/// Both sides of hand-overs, any old replicas to any new ones, on few pages, while messages are lost and come twice,
/// copies are late or fail, and sequences lose their pages in between: whoever goes on with a request gets the tokens
/// that it would have got alone, and nobody else goes on with it.
/// </summary>
public sealed class HandoverPropertyTests
{
    private static readonly Gen<Scenario> GenScenario =
        from olds in Gen.Int[1, 3]
        from news in Gen.Int[1, 3]
        from pages in Gen.Int[8, 14]
        from requests in Gen.Int[2, 12]
        from turns in Gen.Int[10, 150]
        from seed in Gen.Int
        select new Scenario(olds, news, pages, requests, turns, seed);

    [Fact]
    public void Whoever_goes_on_gets_the_tokens_of_a_request_alone_and_nobody_else_does() =>
        GenScenario.Sample(scenario => new Run(scenario).ToTheEnd(), iter: 1_000, threads: 1);

    private sealed record Scenario(int Olds, int News, int Pages, int Requests, int Turns, int Seed);

    private sealed class Run
    {
        private static readonly Epoch Epoch = new(2);
        private readonly Scenario _scenario;
        private readonly Random _random;
        private readonly SchedulerLimits _limits;
        private readonly OldReplica[] _olds;
        private readonly NewReplica[] _news;
        private readonly RecordedActor _planner = new("planner");
        private readonly List<GenerationRequest> _requests = [];

        public Run(Scenario scenario)
        {
            _scenario = scenario;
            _random = new Random(scenario.Seed);
            _limits = SchedulerFixture.Limits(
                stepTokens: 40, chunk: 16, sequences: 4, pages: scenario.Pages, context: 120,
                caches: _random.Next(4) > 0);
            _olds = [.. Enumerable.Range(0, scenario.Olds).Select(i => new OldReplica(i, _limits))];
            for (var i = 0; i < scenario.Requests; i++)
            {
                var request = SchedulerFixture.Request(
                    $"r{i}", _random.Next(1, 60), _random.Next(20, 60), common: _random.Next(3) * 32);
                _requests.Add(request);
                _olds[_random.Next(_olds.Length)].Fixture.Submit(request);
            }

            // Each new replica expects those that hand to it; the first of them that is nobody's home yet is its home.
            var pairs = _olds
                .SelectMany(old => Enumerable.Range(0, scenario.News).Select(target => (old.Index, target)))
                .Where(pair => pair.target == pair.Index % scenario.News || _random.Next(2) == 0).ToArray();
            _news = [.. Enumerable.Range(0, scenario.News).Select(i => new NewReplica(
                i, _limits, [.. pairs.Where(pair => pair.target == i).Select(pair => pair.Index)]))];
            foreach (var old in _olds) Begin(old, pairs);
        }

        public void ToTheEnd()
        {
            for (var turn = 0; turn < _scenario.Turns; turn++) AnyTurn();
            foreach (var old in _olds) old.Finish();
            // As the planner does: it repeats the drain until all serve, a bounded number of times.
            for (var turn = 0; turn < 400 && !_news.All(target => target.Incoming.IsComplete); turn++)
            {
                if (turn % 40 == 39) foreach (var old in _olds) old.Handover!.SendHanded();
                AnyTransport();
            }

            var takers = new Dictionary<RequestId, int>();
            foreach (var target in _news.Where(target => !target.Incoming.IsHomeMissing))
            {
                foreach (var id in target.Serve())
                    Assert.True(takers.TryAdd(id, target.Index), $"{id} goes on in {takers[id]} and {target.Index}");
            }

            foreach (var target in _news.Where(target => target.IsServing)) GoOn(target);
        }

        private void GoOn(NewReplica target)
        {
            for (var turn = 0; !target.Fixture.Scheduler.IsIdle; turn++)
            {
                Assert.True(turn < 10_000, "livelock");
                if (_random.Next(3) == 0) target.CopyOne(_olds, _random, failing: 0);
                if (!target.Fixture.Plan()) target.CopyOne(_olds, _random, failing: 0);
                else target.Fixture.Complete();
            }

            foreach (var (id, generated) in target.Fixture.Generated)
            {
                var request = _requests.Single(request => request.Id.Value == id);
                Assert.Equal(SchedulerFixture.Alone(request, _limits), generated);
            }
        }

        private void Begin(OldReplica old, (int Old, int New)[] pairs)
        {
            var mine = pairs.Where(pair => pair.Old == old.Index).Select(pair => pair.New).ToArray();
            if (mine.Length == 0) mine = [_random.Next(_news.Length)];
            var requests = old.Fixture.Scheduler.Sequences
                .Select(sequence => (sequence.Id, Target: mine[_random.Next(mine.Length)]))
                .Where(_ => _random.Next(10) > 0).ToArray();   // some come later, as far as the planner knows
            var home = mine.Where(target => pairs.First(pair => pair.New == target).Old == old.Index)
                .Select(target => (int?)target).FirstOrDefault();
            old.Begin(_planner, mine.Select(target => new HandoverTarget(
                target,
                _news[target].Leader,
                [.. requests.Where(request => request.Target == target).Select(request => request.Id)],
                IsHome: target == home,
                _limits.PageCount,
                ReservedPages: 3)));
        }

        private void AnyTurn()
        {
            if (_random.Next(3) == 0) AnyTransport();
            else _olds[_random.Next(_olds.Length)].Fixture.Step();
        }

        private void AnyTransport()
        {
            var (old, target) = (_olds[_random.Next(_olds.Length)], _news[_random.Next(_news.Length)]);
            switch (_random.Next(4))
            {
                case 0:
                    target.CopyOne(_olds, _random, failing: 0.1);
                    break;
                case 1:
                    old.Handover?.Tick(ticksMax: 60);
                    break;
                case 2:
                    Deliver(old.Self.Next(), message => old.Handover!.OnTaken((PagesTaken)message));
                    break;
                default:
                    Deliver(target.Leader.Next(), message => target.Receive(message, _olds));
                    break;
            }
        }

        private void Deliver(object? message, Action<object> take)
        {
            if (message is null || _random.Next(12) == 0) return;
            take(message);
            if (_random.Next(12) == 0) take(message);
        }
    }

    private sealed class OldReplica(int index, SchedulerLimits limits)
    {
        public int Index => index;

        public SchedulerFixture Fixture { get; } = new(limits);

        /// <summary>Who tells of its pages, and hears what was taken.</summary>
        public RecordedActor Self { get; } = new($"old{index}");

        public OutgoingHandover? Handover { get; private set; }

        public void Begin(RecordedActor planner, IEnumerable<HandoverTarget> targets)
        {
            Handover = new OutgoingHandover(
                new BeginHandover(new Epoch(1), new Epoch(2), [.. targets]), index, Fixture.Scheduler, lastRound: 0,
                OneProcess.Messages(), planner, Self);
            Handover.Open();
            Handover.Advance();
        }

        public void Finish() => Handover!.Finish(_ => null);
    }

    private sealed class NewReplica
    {
        private readonly RecordedActor _parent;
        private readonly PageCopyQueue _copies;

        public NewReplica(int index, SchedulerLimits limits, int[] expects)
        {
            Index = index;
            Fixture = new SchedulerFixture(limits);
            Leader = new RecordedActor($"new{index}");
            _parent = new RecordedActor($"parent{index}");
            _copies = new PageCopyQueue(new Epoch(2), _parent, Leader);
            Incoming = new IncomingHandover(new Epoch(2), expects, limits.PageCount, _copies, Leader);
        }

        public int Index { get; }

        public SchedulerFixture Fixture { get; }

        public RecordedActor Leader { get; }

        public IncomingHandover Incoming { get; }

        public bool IsServing { get; private set; }

        public void Receive(object message, OldReplica[] olds)
        {
            if (IsServing) return;
            switch (message)
            {
                case HandoverOpened opened:
                    Incoming.OnOpened(opened, olds[opened.OldReplica].Self);
                    break;
                case PagesReady ready:
                    Incoming.OnReady(ready, olds[ready.OldReplica].Self);
                    break;
                default:
                    Incoming.OnHandedOver((SequencesHandedOver)message);
                    break;
            }
        }

        /// <summary>The oldest copy that was asked for, from what the pages hold at this moment.</summary>
        public void CopyOne(OldReplica[] olds, Random random, double failing)
        {
            if (_parent.Next() is not CopyPages copy) return;
            var arrives = random.NextDouble() >= failing;
            // A copy that fails may have written some of its pages.
            for (var i = 0; i < (arrives ? copy.From.Length : copy.From.Length / 2); i++)
                Fixture.Model.CopyPage(olds[copy.OldReplica].Fixture.Model, copy.From[i], copy.To[i]);
            if (!IsServing) Incoming.OnCopied(copy.Job, 1, arrives);
            else if (_copies.TryEnd(copy.Job, 1, out var ended))
                Fixture.Scheduler.GiveBackPages(ended.Request.To.AsSpan());
        }

        /// <summary>As the replica's actor does.</summary>
        /// <returns>Requests that it goes on with.</returns>
        public RequestId[] Serve()
        {
            IsServing = true;
            _copies.Cancel();
            var taken = Incoming.Take();
            Fixture.Scheduler.SetAsidePages([.. _copies.BusyPages]);
            Fixture.Scheduler.Adopt([.. taken.Select(sequence => sequence.State)]);
            Fixture.Scheduler.CheckLaws();
            foreach (var (handed, _) in taken) Fixture.Generated[handed.Id.Value] = [.. handed.Generated];
            return [.. taken.Select(sequence => sequence.Handed.Id)];
        }
    }
}
