using System.Globalization;
using SpotServe.Actors.Execution;
using SpotServe.Node.Engine.Cuda;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>A rank goes away, or abandons a step, in the middle of it, over and over: what that costs the ranks that
/// wait for it on GPUs of their own.</summary>
internal sealed class RanksDrill(IReadOnlyList<Device> devices, Action<string> report)
{
    private const int Rounds = 50;
    private const int Batch = 8;
    private const int Length = 64;

    /// <summary>What a rank's loss may cost the others before they hear of it.</summary>
    public static readonly TimeSpan ReleaseMax = TimeSpan.FromMilliseconds(100);

    private int _failures;

    /// <returns>The number of checks that failed.</returns>
    public int Run()
    {
        TorchEngines[] engines = [.. devices.Select(device => new TorchEngines(
            RanksCheck.Shape.Spec(ElementType.BFloat16), RanksCheck.Shape.Config(), new MadeWeights(), device))];
        try
        {
            foreach (var ranks in RanksCheck.Counts.Where(ranks => ranks <= devices.Count))
            {
                Drill(engines, ranks, new StepFailure("drill", []));
                Drill(engines, ranks, failure: null);
            }
        }
        finally
        {
            foreach (var each in engines) each.Dispose();
        }

        return _failures;
    }

    /// <param name="failure">Why the last rank abandons the step, and comes back for the next; null where it goes
    /// away.</param>
    private void Drill(TorchEngines[] engines, int ranks, StepFailure? failure)
    {
        var longest = TimeSpan.Zero;
        long free = 0, unequal = 0, unexpected = 0;
        ulong? expected = null;
        for (var round = 0; round < Rounds; round++)
        {
            using (var replica = RanksCheck.Replica(engines, (1, ranks), Batch, Length, Batch))
            {
                var plan = new StepPlan();
                for (var step = 1; step <= 3; step++)
                {
                    var hash = Step(replica, step, step - 1);
                    if (step == 1 && hash != (expected ??= hash)) unequal++;
                }

                Plan(plan, 4, position: 3);
                var (ended, error) = replica.StepWithoutLast(plan, TimeSpan.FromMilliseconds(20), failure);
                if (ended > longest) longest = ended;
                if (failure is null ? error is not PeerLostException : error is not StepFailedException) unexpected++;
                if (failure is not null && Step(replica, 5, position: 3) == 0) unequal++;
            }

            // What libtorch keeps for later is there after the first rounds.
            if (round == Rounds / 2) free = CudaDriver.FreeMemory(devices[0].index);
        }

        var lost = free - CudaDriver.FreeMemory(devices[0].index);
        var what = failure is null ? "goes away" : "abandons a step";
        var isRight = longest <= ReleaseMax && unequal == 0 && unexpected == 0 && lost <= 0;
        if (!isRight) _failures++;
        report(string.Create(
            CultureInfo.InvariantCulture,
            $"{(isRight ? "ok  " : "FAIL")} a rank of {ranks} {what}, {Rounds} times: others wait "
            + $"{longest.TotalMilliseconds:0.0} ms at most, {unequal} steps with other bits, {unexpected} other ends, "
            + $"{lost} bytes of GPU memory lost"));
    }

    /// <summary>Runs a step of eight sequences.</summary>
    /// <returns>A hash of its logits.</returns>
    public static ulong Step(InProcessReplica replica, int step, int position)
    {
        var plan = new StepPlan();
        Plan(plan, step, position);
        ulong hash = 0;
        replica.Drawing.LogitsObserved = (_, logits) => hash = RepeatCheck.Hash(hash, logits.Span);
        replica.Step(plan);
        replica.Drawing.LogitsObserved = null;
        return hash;
    }

    /// <summary>A step of eight sequences, each a token at a position.</summary>
    public static void Plan(StepPlan plan, int step, int position)
    {
        plan.Clear(step);
        for (var i = 0; i < Batch; i++)
        {
            int[] pages = [.. Enumerable.Range(i * KvPage.Count(Length), KvPage.Count(position + 1))];
            plan.Add(position, [3 + i + position], pages, samples: true, SamplingParameters.Greedy);
        }
    }
}
