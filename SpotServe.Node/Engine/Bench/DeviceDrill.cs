using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using SpotServe.Actors.Execution;
using SpotServe.Node.Engine.Cuda;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>
/// Breaks the GPU of one rank in the middle of a step, as a fault of the device does: from then on the driver answers
/// this process with errors for it. The other ranks must hear of it at once, and their GPUs must go on with the bits
/// that they had before.
/// </summary>
internal sealed class DeviceDrill(IReadOnlyList<Device> devices, Action<string> report)
{
    private const int Steps = 3;
    private const int StepsAfter = 40;
    private const int Batch = 8;

    private const string Source = """
        extern "C" __global__ void breakDevice(int traps) {
          if (traps) asm volatile("trap;");
          else *(volatile int*)16 = 1;
        }
        """;

    private int _failures;

    /// <returns>The number of checks that failed.</returns>
    public int Run(int rank)
    {
        var traps = rank % 2 == 0;
        var how = traps ? "a kernel of it traps" : "a kernel of it writes where nothing is";
        var count = 1 << BitOperations.Log2((uint)devices.Count);
        var expected = new List<ulong>();
        TorchEngines[] engines = [.. devices.Take(count).Select(device => new TorchEngines(
            RanksCheck.Shape.Spec(ElementType.BFloat16), RanksCheck.Shape.Config(), new MadeWeights(), device))];
        var module = Compile(devices[rank]);
        using (var alone = RanksCheck.Replica([engines[rank == 0 ? 1 : 0]], (1, 1), Batch, 64, Batch))
            for (var step = 1; step <= StepsAfter; step++) expected.Add(Step(alone, step));

        (Exception? Error, TimeSpan After)[] ends;
        using (var replica = RanksCheck.Replica(engines, (1, count), Batch, 64, Batch))
        {
            var same = Enumerable.Range(1, Steps).Count(step => Step(replica, step) == expected[step - 1]);
            Tell(same == Steps, $"rank {rank} of {count}: {same} of {Steps} steps have the bits of one GPU");
            var plan = new StepPlan();
            RanksCheck.Plan(plan, Steps + 1);
            var stream = replica.Engines.ElementAt(rank).Stream!;
            ends = replica.StepWithBroken(plan, rank, () => Break(module, stream, devices[rank].index, traps));
        }

        Tell(ends[rank].Error is EngineLostException, $"{how}: its step ended with \"{ends[rank].Error?.Message}\"");
        var others = ends.Where((_, other) => other != rank).ToArray();
        Tell(
            others.All(end => end.Error is PeerLostException && end.After <= RanksCheck.ReleaseMax),
            string.Create(
                CultureInfo.InvariantCulture,
                $"the others heard of it {others.Max(end => end.After).TotalMilliseconds:0.0} ms later at most: "
                + $"\"{others[0].Error?.Message}\""));
        GoOn([.. engines.Where((_, other) => other != rank)], expected);
        return _failures;
    }

    /// <summary>The GPUs that are left serve, together and each by itself.</summary>
    private void GoOn(TorchEngines[] left, List<ulong> expected)
    {
        var together = 1 << BitOperations.Log2((uint)left.Length);
        TorchEngines[][] groups = together == 1 ? [left] : [left[..together], .. left.Select(each => new[] { each })];
        foreach (var group in groups)
        {
            var clock = Stopwatch.StartNew();
            using var replica = RanksCheck.Replica(group, (1, group.Length), Batch, 64, Batch);
            var same = Enumerable.Range(1, StepsAfter).Count(step => Step(replica, step) == expected[step - 1]);
            Tell(
                same == StepsAfter,
                $"{group.Length} of the GPUs that are left: {same} of {StepsAfter} steps have the bits of before, "
                + string.Create(CultureInfo.InvariantCulture, $"all after {clock.Elapsed.TotalSeconds:0.00} s"));
        }
    }

    private static ulong Step(InProcessReplica replica, int step)
    {
        var plan = new StepPlan();
        RanksCheck.Plan(plan, step);
        ulong hash = 0;
        replica.Drawing.LogitsObserved = (_, logits) => hash = RepeatCheck.Hash(hash, logits.Span);
        replica.Step(plan);
        replica.Drawing.LogitsObserved = null;
        return hash;
    }

    private static CudaModule Compile(Device device)
    {
        CudaDriver.UseContext(device.index);
        var capability = CudaDriver.Capability(device.index).ToString(CultureInfo.InvariantCulture);
        var module = new CudaModule([
            Nvrtc.Compile(
                "drill.cu", Source, new Dictionary<string, string>(), [$"--gpu-architecture=sm_{capability}"]),
        ]);
        return module;
    }

    private static unsafe void Break(CudaModule module, CudaStream stream, int device, bool traps)
    {
        CudaDriver.UseContext(device);
        var kind = traps ? 1 : 0;
        var pointers = stackalloc void*[] { &kind };
        module.Launch(stream, "breakDevice", new LaunchShape(1, 1, 1, 1, 0, 1, StartsEarly: false), pointers);
    }

    private void Tell(bool isRight, string what)
    {
        if (!isRight) _failures++;
        report($"{(isRight ? "ok  " : "FAIL")} {what}");
    }
}
