using SpotServe.Actors.Gateway;
using Xunit;

namespace SpotServe.Tests.Gateway;

public sealed class ArrivalWindowTests
{
    private static readonly DateTimeOffset Start = DateTimeOffset.UnixEpoch;

    [Fact]
    public void Arrivals_are_told_apart_by_how_evenly_they_come()
    {
        var even = Variation([.. Enumerable.Range(0, 200).Select(i => i * 0.1)]);
        var bursts = Variation([.. Enumerable.Range(0, 200).Select(i => (i / 20 * 2.0) + (i % 20 * 0.001))]);
        var chance = new Random(5);
        var at = 0.0;
        var random = Variation(
            [.. Enumerable.Range(0, 200).Select(_ => at -= 0.1 * Math.Log(1 - chance.NextDouble()))]);

        Assert.InRange(even, 0, 0.1);
        Assert.InRange(random, 0.5, 1.5);
        Assert.InRange(bursts, 5, 20);
    }

    [Fact]
    public void Few_arrivals_are_taken_to_come_by_chance()
    {
        Assert.Equal(1, Variation([0]));
        Assert.Equal(1, Variation([0, 0, 0]));
    }

    /// <summary>Each of them asks anew when it is answered, after times that vary.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(15)]
    public void Clients_that_ask_for_one_after_the_other_do_not_come_by_chance(int clients)
    {
        var window = new ArrivalWindow(TimeSpan.FromSeconds(30));
        var chance = new Random(7);
        var at = 0.0;

        for (var i = 0; i < clients; i++) window.OnAccepted(64, 64, Start);
        window.OnOpen(clients, Start);
        for (var i = 0; i < 100; i++)
        {
            var now = Start.AddSeconds(at += chance.NextDouble());
            window.OnEnded(64, now);
            window.OnOpen(clients - 1, now);
            window.OnAccepted(64, 64, now);
            window.OnOpen(clients, now);
        }

        Assert.InRange(window.Demand(0, Start.AddSeconds(at)).ArrivalVariation, 0, 1e-9);
    }

    [Fact]
    public void Requests_that_come_by_chance_are_not_always_as_many()
    {
        var open = new OpenNumbers(TimeSpan.FromSeconds(1000));
        var chance = new Random(9);
        var (at, present) = (0.0, 0);

        // Each stays a second on average; two come a second.
        for (var i = 0; i < 4000; i++)
        {
            at -= Math.Log(1 - chance.NextDouble()) / (2 + present);
            present += chance.NextDouble() * (2 + present) < 2 ? 1 : -1;
            open.Set(present, Start.AddSeconds(at));
        }

        Assert.InRange(open.Spread(Start.AddSeconds(at)), 0.8, 1.25);
    }

    /// <summary>Of requests that come at these times and stay half a second each.</summary>
    private static double Variation(double[] seconds)
    {
        var window = new ArrivalWindow(TimeSpan.FromSeconds(30));
        var open = 0;
        foreach (var (at, change) in seconds.Select(at => (at, 1)).Concat(seconds.Select(at => (at + 0.5, -1))).Order())
        {
            if (at > seconds[^1]) break;
            if (change > 0) window.OnAccepted(64, 64, Start.AddSeconds(at));
            window.OnOpen(open += change, Start.AddSeconds(at));
        }

        return window.Demand(0, Start.AddSeconds(seconds[^1])).ArrivalVariation;
    }
}
