using CsCheck;
using SpotServe.Actors.Scheduling;
using Xunit;

namespace SpotServe.Tests.Scheduling;

/// <summary>Random traffic on tiny page pools: everything finishes, with the tokens it would get alone.</summary>
public sealed class SchedulerPropertyTests
{
    private sealed record Arrival(
        int PromptTokens, int TokensMax, int Committed, bool Stops, int CancelAfter, int Turn, int Common,
        bool SharesPrompt);

    private sealed record Scenario(SchedulerLimits Limits, Arrival[] Arrivals, int Seed);

    private static readonly Gen<SchedulerLimits> GenLimits =
        from sequences in Gen.Int[1, 7]
        from extraTokens in Gen.Int[0, 40]
        from chunk in Gen.Int[1, 40]
        from pages in Gen.Int[2, 14]
        from steps in Gen.Int[1, 4]
        from unused in Gen.Int[0, 20]
        from caches in Gen.Bool
        select SchedulerFixture.Limits(
            stepTokens: sequences + extraTokens,
            chunk: chunk,
            sequences: sequences,
            queued: 64,
            pages: pages,
            steps: steps,
            context: Math.Max(2, (pages * KvPage.Tokens) - unused),
            caches: caches);

    private static readonly Gen<Arrival> GenArrival =
        from prompt in Gen.Int[1, 60]
        from tokens in Gen.Int[1, 60]
        from committed in Gen.Frequency((3, Gen.Const(0)), (1, Gen.Int[1, 20]))
        from stops in Gen.Bool
        from cancel in Gen.Frequency((4, Gen.Const(int.MaxValue)), (1, Gen.Int[0, 60]))
        from turn in Gen.Int[0, 80]
        from common in Gen.OneOfConst(0, 20, 40, 100)
        from shares in Gen.Bool
        select new Arrival(prompt, tokens, committed, stops, cancel, turn, common, shares);

    private static readonly Gen<Scenario> GenScenario =
        from limits in GenLimits
        from arrivals in GenArrival.Array[1, 20]
        from seed in Gen.Int
        select new Scenario(limits, arrivals, seed);

    [Fact]
    public void Every_request_finishes_with_the_tokens_that_it_gets_alone() =>
        GenScenario.Sample(scenario => new Run(scenario).ToTheEnd(), iter: 2_000);

    private sealed class Run
    {
        private const int TurnsMax = 200_000;

        private readonly Scenario _scenario;
        private readonly SchedulerLimits _limits;
        private readonly SchedulerFixture _fixture;
        private readonly Random _random;
        private readonly List<(GenerationRequest Request, Arrival Arrival)> _coming = [];
        private readonly Dictionary<string, (List<int> Alone, int CancelTurn)> _expected = [];
        private readonly HashSet<string> _cancelled = [];
        private readonly Dictionary<Sequence, long> _readySince = new(ReferenceEqualityComparer.Instance);
        private readonly Dictionary<Sequence, int> _residences = new(ReferenceEqualityComparer.Instance);
        private (Sequence Sequence, bool Runs)? _senior;

        public Run(Scenario scenario)
        {
            _scenario = scenario;
            _limits = scenario.Limits;
            _fixture = new SchedulerFixture(_limits);
            _random = new Random(scenario.Seed);
            for (var i = 0; i < scenario.Arrivals.Length; i++) _coming.Add(Arriving($"r{i}", scenario.Arrivals[i]));
        }

        public void ToTheEnd()
        {
            var turn = 0;
            while (_coming.Count > 0 || !_fixture.Scheduler.IsIdle)
            {
                Assert.True(turn < TurnsMax, "livelock");
                Traffic(turn++);
                // Results come late at random, but never so late that nothing is in flight and nothing can be planned.
                var planned = _random.Next(3) > 0 && Plan();
                if (_fixture.Scheduler.StepsInFlightCount == 0) Assert.True(planned || Plan() || Stuck());
                if (_fixture.Scheduler.StepsInFlightCount > 0 && _random.Next(2) == 0) _fixture.Complete();
            }

            foreach (var (id, (alone, _)) in _expected)
            {
                var generated = _fixture.Generated[id];
                if (_cancelled.Contains(id)) Assert.Equal(alone[..generated.Count], generated);
                else Assert.Equal(alone, generated);
            }

            Assert.Equal(_limits.PageCount, _fixture.Scheduler.FreePageCount);
        }

        /// <summary>True when it is right that nothing could be planned.</summary>
        private bool Stuck() => _fixture.Scheduler.RunningCount == 0 && _fixture.Scheduler.WaitingCount == 0;

        private void Traffic(int turn)
        {
            foreach (var (request, _) in _coming.Where(coming => coming.Arrival.Turn <= turn).ToArray())
            {
                _coming.RemoveAll(coming => coming.Request.Id == request.Id);
                if (_fixture.Submit(request) is not Submission.Queued) _expected.Remove(request.Id.Value);
            }

            foreach (var (id, (_, cancelTurn)) in _expected)
            {
                if (cancelTurn == turn && _fixture.Scheduler.Cancel(new RequestId(id))) _cancelled.Add(id);
            }
        }

        private bool Plan()
        {
            var prefilling = _fixture.Scheduler.Sequences.Where(IsReadyToPrefill).ToArray();
            var planned = _fixture.Plan();
            AssertNobodyIsAdmittedPastASeniorThatWaits();
            if (!planned) return false;
            AssertNoPrefillIsOvertaken(prefilling);
            AssertEveryReadySequenceHasItsTurn();
            AssertTheMostSeniorKeepsItsPages();
            return true;
        }

        private static bool IsReadyToPrefill(Sequence sequence) =>
            sequence is { Phase: SequencePhase.Prefill, IsInFlight: false };

        /// <summary>However little room a junior needs: it could keep the senior out for ever.</summary>
        private void AssertNobodyIsAdmittedPastASeniorThatWaits()
        {
            var waiting = _fixture.Scheduler.Sequences
                .Where(sequence => sequence.Phase == SequencePhase.Waiting).ToArray();
            foreach (var sequence in _fixture.Scheduler.Sequences)
            {
                var isAdmitted = sequence.Residence > _residences.GetValueOrDefault(sequence);
                _residences[sequence] = sequence.Residence;
                if (!isAdmitted) continue;
                Assert.DoesNotContain(waiting, other => other.IsSeniorTo(sequence));
            }
        }

        private void AssertNoPrefillIsOvertaken(Sequence[] prefilling)
        {
            // With kept pages one may wait for another that computes what it wants.
            if (_limits.PrefixRoot is not null) return;
            var left = prefilling.Where(IsReadyToPrefill).ToArray();
            foreach (var taken in prefilling.Where(sequence => sequence.IsInFlight))
            {
                Assert.DoesNotContain(left, other => other.IsSeniorTo(taken));
            }
        }

        private void AssertEveryReadySequenceHasItsTurn()
        {
            var step = _fixture.Scheduler.StepCount;
            // A turn comes after P steps; a page, after the at most P steps of each sequence that has to give way.
            var bound = _limits.StepsInFlightMax * (_limits.SequencesMax + 2);
            foreach (var sequence in _fixture.Scheduler.Sequences)
            {
                var ready = sequence is { Phase: SequencePhase.Decode, IsInFlight: false };
                if (!ready) _readySince.Remove(sequence);
                else if (!_readySince.TryAdd(sequence, step)) Assert.InRange(step - _readySince[sequence], 0, bound);
            }
        }

        /// <summary>Why nothing starves: one sequence always goes on, and when it ends the next one does.</summary>
        private void AssertTheMostSeniorKeepsItsPages()
        {
            var senior = _fixture.Scheduler.Sequences
                .OrderByDescending(sequence => sequence.SubmittedCount)
                .ThenBy(sequence => sequence.IsNewcomer).ThenBy(sequence => sequence.Ticket)
                .FirstOrDefault();
            var runs = senior is not null && senior.Phase != SequencePhase.Waiting;
            if (_senior is { Runs: true } before && before.Sequence == senior) Assert.True(runs, "suspended");
            _senior = senior is null ? null : (senior, runs);
        }

        private (GenerationRequest, Arrival) Arriving(string id, Arrival arrival)
        {
            var whole = SchedulerFixture.Request(
                id, arrival.PromptTokens, arrival.TokensMax, stop: arrival.Stops ? [3, 50, 71] : [],
                common: arrival.Common, sharesPrompt: arrival.SharesPrompt);
            if (arrival.PromptTokens >= _limits.ContextMax) return (whole, arrival);
            var alone = SchedulerFixture.Alone(whole, _limits);
            _expected[id] = (alone, arrival.CancelAfter == int.MaxValue ? -1 : arrival.Turn + arrival.CancelAfter);
            return (whole with { Committed = [.. alone.Take(arrival.Committed)] }, arrival);
        }

        public override string ToString() => _scenario.ToString();
    }
}
