namespace SpotServe.Actors.Planning;

/// <summary>
/// l_sch: how long a request waits before it starts. Requests meet D x B slots (with fixed batches D servers that take
/// B at a time), each busy for l_exe; Sakasegawa's closed form of the wait with many servers, scaled by the arrivals'
/// variation (Allen and Cunneen). Closed form on purpose: thousands of layouts are asked for in one plan.
/// </summary>
/// <param name="Wait">Mean, in seconds; infinite when more arrives than can be served.</param>
/// <param name="WaitsProbability">Share of requests that wait at all.</param>
internal readonly record struct QueueEstimate(double Wait, double WaitsProbability)
{
    /// <param name="arrivals">Requests per second.</param>
    /// <param name="capacity">Requests per second that the layout can serve.</param>
    /// <param name="servers">Slots that serve independently.</param>
    /// <param name="serviceSeconds">How long one is taken.</param>
    /// <param name="variation">Squared coefficient of variation of the arrivals; service is taken as regular.</param>
    public static QueueEstimate Of(
        double arrivals, double capacity, int servers, double serviceSeconds, double variation)
    {
        Inputs.NotNegative(arrivals, "The arrival rate");
        Inputs.AtLeast(servers, 1, "The number of servers");
        if (arrivals <= 0) return new QueueEstimate(0, 0);
        var load = arrivals / capacity;
        if (load >= 1) return new QueueEstimate(double.PositiveInfinity, 1);
        var waits = Math.Pow(load, Math.Sqrt(2 * (servers + 1.0)) - 1);
        return new QueueEstimate(variation / 2 * waits * serviceSeconds / (servers * (1 - load)), waits);
    }

    /// <summary>Probability that the wait is at most this long: the tail of such queues is exponential.</summary>
    public double AtMost(double seconds)
    {
        if (seconds < 0) return 0;
        if (double.IsInfinity(Wait)) return 0;
        if (Wait <= 0) return 1;
        return 1 - (WaitsProbability * Math.Exp(-seconds * WaitsProbability / Wait));
    }
}
