namespace SpotServe.Actors.Planning;

/// <summary>How long requests take.</summary>
/// <param name="Execution">Seconds that one would take if all came evenly.</param>
/// <param name="Queue">And what is added because they do not.</param>
internal readonly record struct RequestTimes(double Execution, QueueEstimate Queue)
{
    /// <summary>Share of requests that take at most this long.</summary>
    public double InTarget(double seconds, bool countsWait) =>
        (countsWait ? Queue : new QueueEstimate(0, 0)).AtMost(seconds - Execution);
}

/// <summary>
/// How long a request takes with continuous batching, where those that are present share their replica: requests that
/// come by chance run beside others at times, although one at a time would do. How many are present is a chain of
/// births (arrivals) and deaths (as many as the replicas end with so many on them), which gives the mean and, by
/// Little's law, the time. For arrivals by chance that is exact whatever the answers' lengths, since those present
/// share evenly.
/// Arrivals that vary more or less are put on the line between even ones and these (docs/adr/0087).
/// </summary>
internal static class SharingEstimate
{
    /// <summary>Of more replicas, each of so many stands for several.</summary>
    private const int ReplicasMax = 16;

    /// <summary>What is less likely than this, compared with the most likely, does not count.</summary>
    private const double Negligible = 1e-9;

    public static RequestTimes Of(ReplicaPlan plan, int replicas, Workload load)
    {
        var pool = new ReplicaPool(plan, replicas, Math.Min(replicas, ReplicasMax), load.OutputTokens);
        var arrivals = load.RequestsPerSecond / pool.Each;
        if (pool.Rate(pool.Places) < arrivals)
        {
            // More comes than can be served.
            return new RequestTimes(
                pool.Places / pool.Rate(pool.Places), new QueueEstimate(double.PositiveInfinity, 1));
        }

        var (least, enough) = (0, pool.Places);
        while (enough - least > 1)
        {
            var middle = (least + enough) / 2;
            if (pool.Rate(middle) < arrivals) least = middle;
            else enough = middle;
        }

        var (below, above) = (pool.Rate(least), pool.Rate(enough));
        if (arrivals <= 0) return new RequestTimes(1 / above, new QueueEstimate(0, 0));
        var even = (least + ((arrivals - below) / (above - below))) / arrivals;
        var present = Present(pool, arrivals, least);
        var rarer = Rarer(arrivals / pool.Rate(pool.Count), replicas);
        var delay = load.ArrivalVariation * Math.Max(0, (present.Mean / arrivals) - even) * rarer / pool.Each;
        return new RequestTimes(even, new QueueEstimate(delay, present.MoreThanEven * rarer));
    }

    /// <summary>How many times as seldom none of many replicas is free, compared with the few that stand for them: as
    /// in the closed form of the queue (<see cref="QueueEstimate"/>).</summary>
    /// <param name="load">1 when each replica has one request on average.</param>
    private static double Rarer(double load, int replicas) => replicas <= ReplicasMax || load >= 1
        ? 1
        : Math.Pow(load, Math.Sqrt(2 * (replicas + 1.0)) - Math.Sqrt(2 * (ReplicasMax + 1.0)));

    /// <summary>From the most likely number of those present in both directions, as far as it counts.</summary>
    private static (double Mean, double MoreThanEven) Present(ReplicaPool pool, double arrivals, int least)
    {
        var (sum, mean, more) = (1.0, (double)least, 0.0);
        var weight = 1.0;
        var number = least;
        while (weight > Negligible && number < pool.Places)
        {
            number++;
            weight *= arrivals / pool.Rate(number);
            sum += weight;
            mean += number * weight;
            more += weight;
        }

        if (number == pool.Places && weight > 0)
        {
            // All others wait: from here on each one more is less likely by the same ratio.
            var ratio = Math.Min(arrivals / pool.Rate(number), 1 - Negligible);
            var rest = weight * ratio / (1 - ratio);
            sum += rest;
            mean += (number * rest) + (rest / (1 - ratio));
            more += rest;
        }

        weight = 1;
        for (number = least; number > 0 && weight > Negligible; number--)
        {
            weight *= pool.Rate(number) / arrivals;
            sum += weight;
            mean += (number - 1) * weight;
        }

        return (mean / sum, Math.Clamp(more / sum, Negligible, 1));
    }

    /// <summary>The first replicas of a plan as one server: how many requests they end a second with so many on them,
    /// spread evenly.</summary>
    private sealed class ReplicaPool
    {
        private readonly ReplicaPlan _plan;
        private readonly int _outputTokens;
        private readonly (double Share, ReplicaRun Run, double[] Full)[] _runs;

        /// <param name="count">That the replicas are counted as.</param>
        public ReplicaPool(ReplicaPlan plan, int replicas, int count, int outputTokens)
        {
            (_plan, Count, _outputTokens) = (plan, count, outputTokens);
            Each = replicas / (double)count;
            Places = count * plan.Batch;
            var runs = new List<(double, ReplicaRun, double[])>(plan.Runs.Length);
            for (var (i, left) = (0, replicas); i < plan.Runs.Length && left > 0; i++)
            {
                var run = plan.Runs[i];
                var taken = Math.Min(left, run.Count);
                left -= taken;
                runs.Add((
                    taken / (double)replicas,
                    run,
                    Array.ConvertAll(run.Costs, cost => Seconds(run, cost, replicas))));
            }

            _runs = [.. runs];
        }

        public int Count { get; }

        /// <summary>Replicas that one stands for.</summary>
        public double Each { get; }

        /// <summary>Requests that run at once.</summary>
        public int Places { get; }

        /// <summary>Requests that end a second while so many are present.</summary>
        public double Rate(int present) =>
            present <= Count ? Alone(present) : Together(present / (double)Count);

        /// <summary>Each has a replica of its own.</summary>
        private double Alone(int busy)
        {
            var rate = 0.0;
            foreach (var (share, run, _) in _runs)
                rate += share * busy / Seconds(run, run.Costs[0], Math.Max(1, busy * Each));
            return rate;
        }

        /// <summary>All replicas have so many.</summary>
        private double Together(double batch)
        {
            var rate = 0.0;
            foreach (var (share, run, full) in _runs) rate += share * Count * batch / At(batch, run.Costs, full);
            return rate;
        }

        /// <summary>On the line between the two batch sizes around it.</summary>
        private static double At(double batch, ReplicaCost[] costs, double[] seconds)
        {
            var upper = 0;
            while (costs[upper].BatchSize < batch) upper++;
            if (upper == 0 || costs[upper].BatchSize == batch) return seconds[upper];
            var (low, high) = (costs[upper - 1].BatchSize, costs[upper].BatchSize);
            var part = (batch - low) / (high - low);
            return seconds[upper - 1] + (part * (seconds[upper] - seconds[upper - 1]));
        }

        private double Seconds(ReplicaRun run, ReplicaCost cost, double busy) =>
            cost.Execution(_outputTokens) * _plan.Slowdown(run, cost, busy);
    }
}
