using SpotServe.Actors.Execution;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>A model whose weights are no numbers for one token: who uses it fails, and nobody else.</summary>
[Collection("Engine")]
public sealed class PoisonTests
{
    private static readonly int[] Healthy = [5, 17, 99, 3, 44, 12, 7, 1, 2, 60, 33, 21, 8, 9, 10, 11, 13, 14];

    [Theory]
    [InlineData(1, 1, float.NaN, false)]
    [InlineData(1, 1, float.NaN, true)]
    [InlineData(2, 2, float.NaN, false)]
    [InlineData(1, 1, float.PositiveInfinity, false)]
    [InlineData(2, 1, float.NegativeInfinity, true)]
    public void A_row_that_is_no_number_names_its_sequence_and_leaves_nothing_to_the_pages_next_owner(
        int stages, int ranks, float value, bool usePlainOperations)
    {
        using var harness = new ReplicaHarness(
            PoisonModel.Write(value), stages, ranks, usePlainOperations: usePlainOperations);
        var alone = harness.Generate([Healthy], 20)[0];
        var good = Sequence(Healthy, firstPage: 10);
        var bad = Sequence([1, PoisonModel.Token, 2], firstPage: 0);

        var failed = Assert.Throws<StepFailedException>(() => harness.Step([good, bad]));

        var fault = Assert.Single(failed.Failure.Faults);
        Assert.Equal(1, fault.Chunk);
        Assert.Matches("not a number|largest logit", fault.Reason);
        // The others run the same chunk once more, and one of them in the page that the failed one left.
        var (again, next) = (Sequence(Healthy, firstPage: 10), Sequence(Healthy, firstPage: 0));
        while (again.Tokens.Count < Healthy.Length + alone.Length) harness.Step([again, next]);
        Assert.Equal(alone, again.Tokens.Skip(Healthy.Length));
        Assert.Equal(alone, next.Tokens.Skip(Healthy.Length));
    }

    private static TestSequence Sequence(int[] prompt, int firstPage) =>
        new(prompt, SamplingParameters.Greedy, Enumerable.Range(firstPage, 8));
}
