using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using Xunit;

namespace SpotServe.Tests.Execution;

public sealed class WeightThreadsTests
{
    private static readonly ModelSpec Model = FakeModel.Spec(
        layers: 6, heads: 4, kvHeads: 2, hidden: 8, vocabulary: 48, contextMax: 16);

    [Fact]
    public async Task Workers_with_threads_read_at_the_same_time()
    {
        var shape = FakeWeights.Shape(Model);
        using var meeting = new Barrier(2);
        var memory = new MeetingMemory(new FakeWeights(shape), meeting);
        using var store = new WeightStore(shape, memory);

        using var weights = await Task.Run(() => store.PrepareAsync(
            [.. shape.Geometry.Need(new StageAssignment(new Epoch(1), default, new LayerRange(0, 6), 1, 1, 1, 16, 1))],
            [], new Epoch(1), NoPeers.Instance, blocksAtOnce: 2, progress: null,
            TestContext.Current.CancellationToken, hasThreads: true), TestContext.Current.CancellationToken);

        Assert.True(memory.HaveMet, "no two blocks were being read at the same time");
        Assert.True(FakeWeights.AreRight(weights));
    }

    /// <summary>The first load waits for a second one to begin beside it.</summary>
    private sealed class MeetingMemory(FakeWeights inner, Barrier meeting) : IWeightMemory
    {
        private static readonly TimeSpan MeetMax = Waits.Max;
        private int _loads;

        public bool HaveMet { get; private set; }

        public TensorBytes Allocate(StackedTensors stack, WeightKey key) => inner.Allocate(stack, key);

        public TensorBytes? Map(StackedTensors stack, WeightKey key, CancellationToken cancel) => null;

        public void Load(
            PlacedTensor tensor, int layer, Rectangle part, Action<long> onBytes, CancellationToken cancel)
        {
            // Another thread of the two is certain to load next, or this one waits in vain.
            if (Interlocked.Increment(ref _loads) <= 2 && meeting.SignalAndWait(MeetMax, cancel)) HaveMet = true;
            inner.Load(tensor, layer, part, onBytes, cancel);
        }
    }
}
