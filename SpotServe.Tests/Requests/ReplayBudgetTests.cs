using CsCheck;
using SpotServe.Actors.Requests;
using Xunit;

namespace SpotServe.Tests.Requests;

public sealed class ReplayBudgetTests
{
    private static readonly RequestOptions Options = new();

    [Theory]
    [InlineData(0, 3)]   // at its first step
    [InlineData(1, 9)]   // at the step after each prefill
    public void Request_that_ends_each_replica_after_so_many_tokens_runs_alone_and_is_ended(
        int tokensEach, int together)
    {
        var request = new Attempts();

        var ways = request.RunUntilEnded(() => tokensEach, attemptsMax: 100);

        Assert.Equal(together, ways.TakeWhile(way => way == NextAttempt.Together).Count());
        Assert.Equal(Enumerable.Repeat(NextAttempt.Alone, Options.LossesAloneMax), ways.Skip(together));
    }

    [Fact]
    public void Request_is_ended_only_after_it_got_nowhere_alone_three_times_in_a_row() =>
        Gen.Frequency((3, Gen.Int[0, 1]), (2, Gen.Int[2, 15]), (1, Gen.Int[16, 60])).Array[1, 60].Sample(tokens =>
        {
            var request = new Attempts();
            var left = new Queue<int>(tokens);

            var ways = request.RunUntilEnded(left.Dequeue, tokens.Length);

            if (request.Next != NextAttempt.None) return;
            var last = Options.LossesAloneMax;
            Assert.Equal(Enumerable.Repeat(NextAttempt.Alone, last), ways.TakeLast(last));
            Assert.All(tokens.Take(ways.Count).TakeLast(last), drawn => Assert.InRange(drawn, 0, 1));
        });

    [Fact]
    public void Request_that_gets_on_by_a_page_between_losses_is_never_run_alone()
    {
        var request = new Attempts();

        var ways = request.RunUntilEnded(() => 16, attemptsMax: 1000);

        Assert.All(ways, way => Assert.Equal(NextAttempt.Together, way));
    }

    /// <summary>Half an hour of a kill every four seconds, at any moment, of sixteen streams that take 0.3 s to their
    /// first token and 50 ms to each further one: some have to run alone, none is ended.</summary>
    [Fact]
    public void Healthy_requests_outlive_hours_of_kills()
    {
        var random = new Random(7);
        var alone = 0;
        for (var stream = 0; stream < 16; stream++)
        {
            var request = new Attempts();
            var ways = request.RunUntilEnded(
                () => Math.Max(0, (int)(((-4 * Math.Log(1 - random.NextDouble())) - 0.3) / 0.05)), attemptsMax: 450);
            Assert.NotEqual(NextAttempt.None, request.Next);
            alone += ways.Count(way => way == NextAttempt.Alone);
        }

        Assert.InRange(alone, 1, 200);
    }

    /// <summary>One request from loss to loss.</summary>
    private sealed class Attempts
    {
        private ReplayBudget _budget = ReplayBudget.Full;
        private int _tokens;

        public NextAttempt Next => _budget.Next(Options.LossesMax, Options.LossesAloneMax);

        /// <param name="tokens">Tokens that the next attempt draws before its replica is lost.</param>
        /// <returns>How each attempt was run.</returns>
        public List<NextAttempt> RunUntilEnded(Func<int> tokens, int attemptsMax)
        {
            List<NextAttempt> ways = [];
            while (Next != NextAttempt.None && ways.Count < attemptsMax)
            {
                ways.Add(Next);
                if (Next == NextAttempt.Alone) _budget = _budget.OnAlone(_tokens);
                for (var i = tokens(); i > 0; i--) _budget = _budget.OnCommitted(++_tokens);
                _budget = _budget.OnLoss(_tokens);
            }

            return ways;
        }
    }
}
