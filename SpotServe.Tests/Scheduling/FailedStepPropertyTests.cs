using CsCheck;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Scheduling;
using Xunit;

namespace SpotServe.Tests.Scheduling;

/// <summary>
/// Random traffic in which some sequences make every step fail that runs a certain token of theirs, named or not: they
/// alone end, the others get the tokens that they get alone, and the search costs a bounded number of steps.
/// </summary>
public sealed class FailedStepPropertyTests
{
    private sealed record Poison(int Position, bool IsNamed);

    private sealed record Arrival(int PromptTokens, int TokensMax, int Turn, int CancelAfter, Poison? Poison);

    private sealed record Scenario(SchedulerLimits Limits, Arrival[] Arrivals, int Seed);

    private static readonly Gen<SchedulerLimits> GenLimits =
        from sequences in Gen.Int[1, 9]
        from extraTokens in Gen.Int[0, 40]
        from chunk in Gen.Int[1, 40]
        from pages in Gen.Int[8, 30]
        from steps in Gen.Int[1, 4]
        select SchedulerFixture.Limits(
            stepTokens: sequences + extraTokens, chunk: chunk, sequences: sequences, pages: pages, steps: steps,
            context: 8 * KvPage.Tokens);

    private static readonly Gen<Arrival> GenArrival =
        from prompt in Gen.Int[1, 60]
        from tokens in Gen.Int[1, 60]
        from turn in Gen.Int[0, 60]
        from cancel in Gen.Frequency((5, Gen.Const(int.MaxValue)), (1, Gen.Int[0, 40]))
        from poison in Gen.Frequency(
            (3, Gen.Const((Poison?)null)),
            (1, Gen.Select(Gen.Int[0, 80], Gen.Bool).Select((at, named) => (Poison?)new Poison(at, named))))
        select new Arrival(prompt, tokens, turn, cancel, poison);

    private static readonly Gen<Scenario> GenScenario =
        from limits in GenLimits
        from arrivals in GenArrival.Array[1, 20]
        from seed in Gen.Int
        select new Scenario(limits, arrivals, seed);

    [Fact]
    public void Only_poisoned_sequences_end_and_the_search_for_them_is_bounded() =>
        GenScenario.Sample(scenario => new Run(scenario).ToTheEnd(), iter: 2_000);

    private sealed class Run
    {
        private const int TurnsMax = 100_000;

        private readonly Scenario _scenario;
        private readonly SchedulerFixture _fixture;
        private readonly Random _random;
        private readonly Dictionary<ulong, Poison> _poisons = [];
        private readonly GenerationRequest[] _requests;
        private readonly HashSet<string> _cancelled = [];

        public Run(Scenario scenario)
        {
            _scenario = scenario;
            _fixture = new SchedulerFixture(scenario.Limits) { Fails = Failure };
            _random = new Random(scenario.Seed);
            _requests = [.. scenario.Arrivals.Select((arrival, i) =>
                SchedulerFixture.Request($"r{(char)('a' + i)}", arrival.PromptTokens, arrival.TokensMax))];
            for (var i = 0; i < _requests.Length; i++)
            {
                if (scenario.Arrivals[i].Poison is { } poison)
                    _poisons.Add(_requests[i].Spec.Parameters.Sampling.Seed, poison);
            }
        }

        public void ToTheEnd()
        {
            var turn = 0;
            var coming = _requests.Length;
            while (coming > 0 || !_fixture.Scheduler.IsIdle)
            {
                Assert.True(turn < TurnsMax, "livelock");
                coming -= Traffic(turn++);
                var planned = _random.Next(3) > 0 && _fixture.Plan();
                if (_fixture.Scheduler.StepsInFlightCount == 0 && !_fixture.Scheduler.IsIdle)
                    Assert.True(planned || _fixture.Plan(), "nothing can be planned and nothing is in flight");
                if (_fixture.Scheduler.StepsInFlightCount > 0 && _random.Next(2) == 0) _fixture.Complete();
            }

            for (var i = 0; i < _requests.Length; i++) CheckEnd(_requests[i], _scenario.Arrivals[i].Poison);
            // Each culprit costs its named step, or at most a way down a tree over a step's sequences. One that was
            // found among suspects of several failures costs no more: it leaves with the first.
            var depth = 2 + (int)Math.Ceiling(Math.Log2(_scenario.Limits.SequencesMax));
            var most = _poisons.Count * depth * _scenario.Limits.StepsInFlightMax;
            Assert.InRange(_fixture.Scheduler.StepsFailed, 0, most);
            Assert.Equal(_scenario.Limits.PageCount, _fixture.Scheduler.FreePageCount);
        }

        private int Traffic(int turn)
        {
            var came = 0;
            for (var i = 0; i < _requests.Length; i++)
            {
                var (request, arrival) = (_requests[i], _scenario.Arrivals[i]);
                if (arrival.Turn == turn)
                {
                    came++;
                    Assert.IsType<Submission.Queued>(_fixture.Submit(request));
                }

                var cancels = arrival.CancelAfter != int.MaxValue && arrival.Turn + arrival.CancelAfter == turn;
                if (cancels && _fixture.Scheduler.Cancel(request.Id)) _cancelled.Add(request.Id.Value);
            }

            return came;
        }

        private void CheckEnd(GenerationRequest request, Poison? poison)
        {
            var id = request.Id.Value;
            var alone = SchedulerFixture.Alone(request, _scenario.Limits);
            var generated = _fixture.Generated[id];
            if (_cancelled.Contains(id))
            {
                Assert.Equal(alone[..generated.Count], generated);
                return;
            }

            // The last token that is drawn is not run through the model.
            var failsAt = poison?.Position < request.Spec.Prompt.Length + alone.Count - 1 ? poison : null;
            Assert.Equal(failsAt is null ? FinishReason.Length : FinishReason.Failed, _fixture.Finished[id]);
            Assert.Equal(failsAt is not null, _fixture.Errors.ContainsKey(id));
            var expected = failsAt is null
                ? alone
                : alone[..Math.Max(0, failsAt.Position - request.Spec.Prompt.Length + 1)];
            Assert.Equal(expected, generated);
        }

        private StepFailure? Failure(StepPlan plan)
        {
            List<ChunkFault> faults = [];
            var unnamed = false;
            for (var i = 0; i < plan.Chunks.Length; i++)
            {
                ref readonly var chunk = ref plan.Chunks[i];
                if (!_poisons.TryGetValue(chunk.Sampling.Seed, out var poison)) continue;
                if (poison.Position < chunk.Start || poison.Position >= chunk.Start + chunk.Count) continue;
                if (poison.IsNamed) faults.Add(new ChunkFault(i, "it is named"));
                else unnamed = true;
            }

            // An engine that breaks does not get as far as naming the others.
            if (unnamed) return new StepFailure("something broke", []);
            return faults.Count > 0 ? new StepFailure("named", [.. faults]) : null;
        }

        public override string ToString() => _scenario.ToString();
    }
}
