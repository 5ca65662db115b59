using SpotServe.Actors.Simulation;
using Xunit;

namespace SpotServe.Tests.Evaluation;

public sealed class ArrivalGeneratorTests
{
    [Theory]
    [InlineData(0.05)]
    [InlineData(1)]
    [InlineData(6)]
    public void Gaps_have_the_asked_mean_and_variation(double variation)
    {
        var arrivals = ArrivalGenerator.Gamma(2, variation, endSeconds: 250_000, 512, 128, seed: 1);
        var gaps = arrivals.Zip(arrivals.Skip(1), (left, right) => right.Seconds - left.Seconds).ToList();
        var mean = gaps.Average();
        var deviation = Math.Sqrt(gaps.Average(gap => (gap - mean) * (gap - mean)));

        Assert.InRange(mean, 0.5 * 0.98, 0.5 * 1.02);
        Assert.InRange(deviation / mean, variation * 0.97, variation * 1.03);
    }

    [Fact]
    public void A_seed_gives_the_same_arrivals_for_ever()
    {
        var arrivals = ArrivalGenerator.Gamma(0.35, 6, 1000, 512, 128, seed: 7);

        Assert.Equal(arrivals, ArrivalGenerator.Gamma(0.35, 6, 1000, 512, 128, seed: 7));
        Assert.NotEqual(arrivals, ArrivalGenerator.Gamma(0.35, 6, 1000, 512, 128, seed: 8));
    }

    [Fact]
    public void Rates_that_change_are_followed()
    {
        var arrivals = ArrivalGenerator.Gamma([(0, 1), (1000, 0), (2000, 3)], 0, 3000, 512, 128, seed: 1);

        Assert.Equal(1000, arrivals.Count(arrival => arrival.Seconds <= 1000));
        Assert.DoesNotContain(arrivals, arrival => arrival.Seconds is > 1000.001 and < 2000);
        Assert.Equal(2999, arrivals.Count(arrival => arrival.Seconds > 2000), 3.0);
    }
}
