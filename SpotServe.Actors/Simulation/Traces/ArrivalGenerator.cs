using System.Collections.Immutable;

namespace SpotServe.Actors.Simulation;

/// <summary>Arrivals with Gamma-distributed times between them, from a seed: the same in every process.</summary>
public static class ArrivalGenerator
{
    /// <param name="rate">Requests per second.</param>
    /// <param name="variation">Coefficient of variation of the time between arrivals: 1 is Poisson, 0 is a
    /// clock.</param>
    public static ImmutableArray<Arrival> Gamma(
        double rate, double variation, double endSeconds, int promptTokens, int outputTokens, int seed) =>
        Gamma([(0, rate)], variation, endSeconds, promptTokens, outputTokens, seed);

    /// <param name="rates">Requests per second from a time on, by rising time, the first from 0.</param>
    /// <param name="variation">Coefficient of variation of the time between arrivals.</param>
    public static ImmutableArray<Arrival> Gamma(
        IReadOnlyList<(double FromSeconds, double Rate)> rates,
        double variation,
        double endSeconds,
        int promptTokens,
        int outputTokens,
        int seed)
    {
        var draws = new SplitMix((ulong)seed);
        var shape = variation <= 0 ? double.PositiveInfinity : 1 / (variation * variation);
        var arrivals = ImmutableArray.CreateBuilder<Arrival>();
        var (now, segment) = (0.0, 0);
        while (true)
        {
            // A gap of mean 1 is laid over the rates as they change: a time-rescaled renewal process.
            var left = double.IsInfinity(shape) ? 1 : draws.Gamma(shape) / shape;
            while (true)
            {
                var until = segment + 1 < rates.Count ? rates[segment + 1].FromSeconds : double.PositiveInfinity;
                var rate = rates[segment].Rate;
                if (rate > 0 && now + (left / rate) <= until)
                {
                    now += left / rate;
                    break;
                }

                if (double.IsInfinity(until)) return arrivals.ToImmutable();
                left -= (until - now) * rate;
                now = until;
                segment++;
            }

            if (now >= endSeconds) return arrivals.ToImmutable();
            arrivals.Add(new Arrival(now, promptTokens, outputTokens));
        }
    }
}

/// <summary>SplitMix64: small, fast, and fixed for ever, unlike the runtime's own generator.</summary>
internal sealed class SplitMix(ulong seed)
{
    private ulong _state = (seed * 0xD1342543DE82EF95UL) + 0x9E3779B97F4A7C15UL;

    public ulong Next()
    {
        _state += 0x9E3779B97F4A7C15UL;
        var z = _state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }

    /// <summary>In (0, 1).</summary>
    public double Unit() => ((Next() >> 11) + 0.5) / (1UL << 53);

    public double Normal() => Math.Sqrt(-2 * Math.Log(Unit())) * Math.Cos(2 * Math.PI * Unit());

    /// <summary>Of scale 1 (Marsaglia and Tsang, with the boost for shapes below 1).</summary>
    public double Gamma(double shape)
    {
        if (shape < 1) return Gamma(shape + 1) * Math.Pow(Unit(), 1 / shape);
        var d = shape - (1.0 / 3);
        var c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            var x = Normal();
            var v = 1 + (c * x);
            if (v <= 0) continue;
            v = v * v * v;
            if (Math.Log(Unit()) < (0.5 * x * x) + d - (d * v) + (d * Math.Log(v))) return d * v;
        }
    }
}
