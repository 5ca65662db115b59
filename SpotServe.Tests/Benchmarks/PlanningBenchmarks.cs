using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Google.OrTools.Graph;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Benchmarks;

/// <summary>Time and allocation of a plan from notice to steps, by the number of GPUs.</summary>
[MemoryDiagnoser]
public class PlanningBenchmarks
{
    private PlanningInputs _request = null!;

    [Params(256, 1024, 4096)]
    public int Gpus { get; set; }

    [Params(false, true)]
    public bool Reshape { get; set; }

    [GlobalSetup]
    public void Setup() => _request = PlanningScenario.Notice(Gpus, Reshape);

    [Benchmark]
    public Reconfiguration NoticeToSteps() => ReconfigurationPlanner.Plan(_request);
}

/// <summary>The assignment solver against OR-Tools on one dense random matrix of 1,024.</summary>
[MemoryDiagnoser]
public class AssignmentBenchmarks
{
    private const int Size = 1024;

    private readonly AssignmentSolver _solver = new();
    private readonly int[] _columnOfRow = new int[Size];
    private long[] _weights = [];

    [Params(100, 1_000_000)]
    public long WeightMax { get; set; }

    [GlobalSetup]
    public void Setup() => _weights = PlanningScenario.RandomMatrix(Size, WeightMax, seed: 1);

    [Benchmark(Baseline = true)]
    public long Ours() => _solver.Maximize(_weights, Size, Size, _columnOfRow);

    [Benchmark]
    public long OrTools()
    {
        var solver = new LinearSumAssignment();
        for (var row = 0; row < Size; row++)
        {
            for (var column = 0; column < Size; column++)
            {
                solver.AddArcWithCost(row, column, -_weights[(row * Size) + column]);
            }
        }

        solver.Solve();
        return -solver.OptimalCost();
    }
}

/// <summary>Runs the benchmarks in the test executable: `-explicit only -class *PlanningBenchmarksRun`.</summary>
public sealed class PlanningBenchmarksRun
{
    [Fact(Explicit = true)]
    public void Run()
    {
        var config = ManualConfig.Create(DefaultConfig.Instance)
            .AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance));
        BenchmarkRunner.Run<PlanningBenchmarks>(config);
        BenchmarkRunner.Run<AssignmentBenchmarks>(config);
    }
}
