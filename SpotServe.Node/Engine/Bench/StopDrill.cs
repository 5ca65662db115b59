using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>
/// Stops a process (SIGSTOP) whose GPUs sum in the middle of steps, and lets it go on: its ranks must go on with the
/// right bits, and other processes must have the GPUs meanwhile.
/// </summary>
internal static partial class StopDrill
{
    private const int Stops = 3;
    private const int Positions = 60;
    private const int Stop = 19;
    private const int Continue = 18;
    private const string Stepping = "stepping";

    private static readonly TimeSpan StopTime = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan RunTime = TimeSpan.FromMilliseconds(300);

    /// <summary>In the process that is stopped: steps of all ranks until its input ends.</summary>
    /// <returns>The number of checks that failed.</returns>
    public static int RunRanks(IReadOnlyList<Device> devices, TextReader input, Action<string> report)
    {
        using var ranks = new DrillRanks(devices);
        var hasEnded = false;
        var end = new Thread(() =>
        {
            input.ReadToEnd();
            Volatile.Write(ref hasEnded, true);
        })
        { IsBackground = true, Name = "end of the drill" };
        end.Start();
        report(Stepping);
        var (steps, unequal, longest) = (0, 0, TimeSpan.Zero);
        while (!Volatile.Read(ref hasEnded))
        {
            var began = Stopwatch.GetTimestamp();
            if (!ranks.Step(steps++ % Positions)) unequal++;
            var took = Stopwatch.GetElapsedTime(began);
            if (took > longest) longest = took;
        }

        var isRight = unequal == 0 && longest >= StopTime / 2;
        report(string.Create(
            CultureInfo.InvariantCulture,
            $"{(isRight ? "ok  " : "FAIL")} a process is stopped {Stops} times for {StopTime.TotalSeconds:0} s: of its "
            + $"{steps} steps of {ranks.Count} ranks {unequal} have other bits, the longest took "
            + $"{longest.TotalSeconds:0.0} s"));
        return isRight ? 0 : 1;
    }

    /// <summary>Stops a process that runs <see cref="RunRanks"/>, and steps on the same GPUs meanwhile.</summary>
    /// <param name="child">Its input and output are redirected.</param>
    /// <returns>The number of checks that failed.</returns>
    public static async Task<int> RunAsync(
        Process child, IReadOnlyList<Device> devices, Action<string> report, CancellationToken cancel)
    {
        using var ranks = new DrillRanks(devices);
        while (await child.StandardOutput.ReadLineAsync(cancel).ConfigureAwait(false) is { } line && line != Stepping)
            report(line);
        var (steps, unequal) = (0, 0);
        for (var stop = 0; stop < Stops; stop++)
        {
            StepFor(RunTime);
            _ = Kill(child.Id, Stop);
            StepFor(StopTime);
            _ = Kill(child.Id, Continue);
        }

        StepFor(RunTime);
        child.StandardInput.Close();
        while (await child.StandardOutput.ReadLineAsync(cancel).ConfigureAwait(false) is { } line) report(line);
        await child.WaitForExitAsync(cancel).ConfigureAwait(false);
        var isRight = unequal == 0 && steps > Stops;
        report($"{(isRight ? "ok  " : "FAIL")} beside it another process runs {steps} steps on the same GPUs, "
            + $"{unequal} with other bits");
        return (isRight ? 0 : 1) + (child.ExitCode == 0 ? 0 : 1);

        void StepFor(TimeSpan time)
        {
            for (var clock = Stopwatch.StartNew(); clock.Elapsed < time; steps++)
            {
                if (!ranks.Step(steps % Positions)) unequal++;
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    /// <summary>Ranks on all GPUs, whose steps are compared with those of one.</summary>
    private sealed class DrillRanks : IDisposable
    {
        private readonly TorchEngines[] _engines;
        private readonly InProcessReplica _replica;
        private readonly ulong[] _expected;
        private int _step;

        public DrillRanks(IReadOnlyList<Device> devices)
        {
            Count = 1 << System.Numerics.BitOperations.Log2((uint)devices.Count);
            _engines = [.. devices.Take(Count).Select(device => new TorchEngines(
                RanksCheck.Shape.Spec(ElementType.BFloat16), RanksCheck.Shape.Config(), new MadeWeights(), device))];
            using (var alone = RanksCheck.Replica(_engines[..1], (1, 1), batch: 8, steps: 64, stepTokens: 8))
            {
                _expected = [.. Enumerable.Range(0, Positions).Select(
                    position => RanksDrill.Step(alone, position + 1, position))];
            }

            _replica = RanksCheck.Replica(_engines, (1, Count), batch: 8, steps: 64, stepTokens: 8);
        }

        public int Count { get; }

        /// <returns>Whether the bits are those of one GPU.</returns>
        public bool Step(int position) => RanksDrill.Step(_replica, ++_step, position) == _expected[position];

        public void Dispose()
        {
            _replica.Dispose();
            foreach (var each in _engines) each.Dispose();
        }
    }
}
