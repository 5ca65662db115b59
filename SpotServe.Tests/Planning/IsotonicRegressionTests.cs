using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class IsotonicRegressionTests
{
    /// <summary>The maximum over beginnings up to here of the minimum over ends from here of the weighted mean between
    /// them: another way to say what the nearest sequence is.</summary>
    [Fact]
    public void Pooled_values_are_those_of_the_minimax_formula_for_random_values_and_weights()
    {
        var random = new Random(20261128);
        for (var round = 0; round < 2000; round++)
        {
            var values = Enumerable.Range(0, random.Next(1, 9)).Select(_ => (double)random.Next(-9, 10)).ToArray();
            var weights = values.Select(_ => random.Next(1, 5) / 2.0).ToArray();
            var pooled = values.ToArray();

            IsotonicRegression.Pool(pooled, weights);

            for (var i = 0; i < values.Length; i++)
            {
                var expected = Enumerable.Range(0, i + 1).Max(first => Enumerable.Range(i, values.Length - i)
                    .Min(last => Mean(values, weights, first, last)));
                Assert.Equal(expected, pooled[i], 9);
            }
        }
    }

    private static double Mean(double[] values, double[] weights, int first, int last)
    {
        var (sum, weight) = (0.0, 0.0);
        for (var i = first; i <= last; i++) (sum, weight) = (sum + (values[i] * weights[i]), weight + weights[i]);
        return sum / weight;
    }
}
