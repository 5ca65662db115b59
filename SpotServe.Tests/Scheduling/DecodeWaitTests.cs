using CsCheck;
using SpotServe.Actors.Scheduling;
using Xunit;

namespace SpotServe.Tests.Scheduling;

/// <summary>
/// Prompts do not hold up streams: between two tokens of a stream that has room, a replica computes no more than
/// <see cref="SchedulerLimits.StepTokensMax"/> tokens for each of its stages, its own among them, however long prompts
/// are and however many come. The option --step-tokens sets it.
/// </summary>
public sealed class DecodeWaitTests
{
    private sealed record Prompt(int Turn, int Tokens);

    private static readonly Gen<(int Stages, int StepTokens, int Streams, Prompt[] Prompts)> GenScenario =
        from stages in Gen.Int[1, 4]
        from stepTokens in Gen.Int[16, 64]
        from streams in Gen.Int[1, 6]
        from prompts in Gen.Select(Gen.Int[0, 60], Gen.Int[1, 240], (turn, tokens) => new Prompt(turn, tokens))
            .Array[0, 12]
        select (stages, stepTokens, streams, prompts);

    [Fact]
    public void Stream_waits_for_one_step_of_each_stage_at_most_whatever_prompts_come() =>
        GenScenario.Sample(scenario =>
        {
            var (stages, stepTokens, streams, prompts) = scenario;
            var fixture = new SchedulerFixture(SchedulerFixture.Limits(
                stepTokens, chunk: Math.Max(1, stepTokens * 3 / 4), sequences: 10, pages: 400, steps: stages));
            var ready = new Dictionary<Sequence, long>();
            for (var i = 0; i < streams; i++)
                fixture.Submit(SchedulerFixture.Request($"stream{i}", promptTokens: 1 + i, tokensMax: 100));
            for (var turn = 0; turn < 100; turn++)
            {
                foreach (var (prompt, i) in prompts.Select((prompt, i) => (prompt, i)))
                {
                    if (prompt.Turn == turn)
                        fixture.Submit(SchedulerFixture.Request($"prompt{i}", prompt.Tokens, tokensMax: 3));
                }

                while (Plan())
                {
                }

                if (fixture.Scheduler.StepsInFlightCount > 0) fixture.Complete();
            }

            bool Plan()
            {
                foreach (var sequence in fixture.Scheduler.Sequences)
                {
                    if (sequence is { Phase: SequencePhase.Decode, IsInFlight: false })
                        ready.TryAdd(sequence, fixture.Scheduler.StepCount);
                }

                if (!fixture.Plan()) return false;
                Assert.InRange(fixture.Planned.Sum(chunk => chunk.Count), 1, stepTokens);
                foreach (var (sequence, since) in ready.ToArray())
                {
                    // Its own step is the last of those that it waits for.
                    Assert.InRange(fixture.Scheduler.StepCount - since, 1, stages);
                    if (sequence.IsInFlight || sequence.Phase != SequencePhase.Decode) ready.Remove(sequence);
                }

                return true;
            }
        }, iter: 500);
}
