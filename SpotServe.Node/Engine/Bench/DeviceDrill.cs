using System.Globalization;
using System.Numerics;
using SpotServe.Actors.Execution;
using SpotServe.Node.Engine.Cuda;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>
/// Breaks the GPU of one rank in the middle of a step, as a fault of the device does: from then on the driver answers
/// this process with errors for it, and for all GPUs that reach its memory (docs/adr/0105). Every rank's step must end
/// at once; another process then uses the GPUs.
/// </summary>
internal sealed class DeviceDrill(IReadOnlyList<Device> devices, Action<string> report)
{
    private const int Steps = 3;

    private const string Source = """
        extern "C" __global__ void breakDevice(int traps) {
          if (traps) asm volatile("trap;");
          else *(volatile int*)16 = 1;
        }
        """;

    private int _failures;

    /// <param name="rank">Whose GPU breaks; as many as there are: nobody's.</param>
    /// <returns>The number of checks that failed.</returns>
    public int Run(int rank)
    {
        var count = 1 << BitOperations.Log2((uint)devices.Count);
        TorchEngines[] engines = [.. devices.Take(count).Select(device => new TorchEngines(
            RanksCheck.Shape.Spec(ElementType.BFloat16), RanksCheck.Shape.Config(), new MadeWeights(), device))];
        ulong[] expected;
        using (var alone = RanksCheck.Replica(engines[..1], (1, 1), batch: 8, steps: 64, stepTokens: 8))
            expected = [.. Enumerable.Range(1, Steps).Select(step => RanksDrill.Step(alone, step, step - 1))];
        using var replica = RanksCheck.Replica(engines, (1, count), batch: 8, steps: 64, stepTokens: 8);
        var same = Enumerable.Range(1, Steps).Count(
            step => RanksDrill.Step(replica, step, step - 1) == expected[step - 1]);
        Tell(same == Steps, $"a new process: {same} of {Steps} steps of {count} ranks have the bits of one GPU");
        if (rank >= count) return _failures;

        // A trap, or a write where nothing is.
        var traps = rank % 2 == 0;
        var module = Compile(devices[rank]);
        var plan = new StepPlan();
        RanksDrill.Plan(plan, Steps + 1, Steps);
        var stream = replica.Engines.ElementAt(rank).Stream!;
        var ends = replica.StepWithBroken(plan, rank, () => Break(module, stream, devices[rank].index, traps));
        Tell(
            ends[rank].Error is EngineLostException,
            $"rank {rank} {(traps ? "traps" : "writes where nothing is")}: its step ended with "
            + $"\"{ends[rank].Error?.Message}\"");
        Tell(
            ends.All(end => end.Error is not null && end.After <= RanksDrill.ReleaseMax),
            string.Create(
                CultureInfo.InvariantCulture,
                $"all steps ended within {ends.Max(end => end.After).TotalMilliseconds:0.0} ms; the others: ")
            + string.Join(", ", ends.Where((_, other) => other != rank).Select(end => $"\"{end.Error?.Message}\"")));
        return _failures;
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
