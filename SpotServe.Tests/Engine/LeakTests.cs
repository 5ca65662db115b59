using SpotServe.Tests.Golden;
using TorchSharp;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>Counts the process's tensors, so that nothing else may make any meanwhile.</summary>
[CollectionDefinition(nameof(LeakTests), DisableParallelization = true)]
[Collection(nameof(LeakTests))]
public sealed class LeakTests
{
    private const long GrowthMax = 48 << 20;

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    public void Thousands_of_steps_do_not_grow_memory(int stages, int ranks)
    {
        using var harness = new ReplicaHarness(GoldenModel.Folder("llama-gqa"), stages, ranks);
        RunSteps(500);
        var memory = Environment.WorkingSet;
        var tensors = torch.Tensor.TotalCount;

        RunSteps(3000);

        Assert.Equal(tensors, torch.Tensor.TotalCount);
        var growth = Environment.WorkingSet - memory;
        Assert.True(growth < GrowthMax, $"Memory grew by {growth} bytes.");

        void RunSteps(int count)
        {
            for (var done = 0; done < count; done += 250) harness.Generate([[1, 2, 3], [4, 5]], 250);
        }
    }

    [Fact]
    public void Disposed_engine_leaves_no_tensors()
    {
        using (new ReplicaHarness(GoldenModel.Folder("qwen3"), 1, 1))
        {
        }

        var tensors = torch.Tensor.TotalCount;
        using (var harness = new ReplicaHarness(GoldenModel.Folder("qwen3"), stages: 2, ranks: 2))
            harness.Generate([[1, 2, 3]], 4);

        Assert.Equal(tensors, torch.Tensor.TotalCount);
    }
}
