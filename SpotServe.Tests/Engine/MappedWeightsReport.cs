using System.Diagnostics;
using SpotServe.Node.Engine;
using SpotServe.Node.Engine.Bench;
using SpotServe.Seed.Bench;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>
/// What mapped weights save in loading and cost in computing, in turns with copied ones. By command, because it writes
/// 2.2 GB: <c>SpotServe.Tests -explicit only -class SpotServe.Tests.Engine.MappedWeightsReport -showLiveOutput</c>.
/// </summary>
[Collection("Engine")]
public sealed class MappedWeightsReport(ITestOutputHelper output)
{
    private const int Rounds = 3;
    private const int Context = 64;
    private const int Steps = 12;
    private const int PrefillTokens = 256;

    [Fact(Explicit = true)]
    public void Mapped_weights_load_at_least_twice_as_fast_as_copied_ones()
    {
        var folder = Path.Combine(TemporaryFolders.Create(), "made-1b");
        var bytes = MadeModel.WriteOneBillion(folder);
        var seconds = new Dictionary<bool, double> { [false] = double.MaxValue, [true] = double.MaxValue };
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var map in new[] { false, true })
                seconds[map] = Math.Min(seconds[map], Measure(folder, bytes, map));
        }

        Assert.True(seconds[true] * 2 <= seconds[false], $"{seconds[true]} s mapped, {seconds[false]} s copied");
    }

    private double Measure(string folder, long bytes, bool map)
    {
        using var runtime = new TorchDeviceRuntime(new TorchRuntimeOptions
        {
            ModelFolder = folder,
            Threads = 2,
            WeightType = ElementType.BFloat16,
            MapWeights = map,
        });
        var clock = Stopwatch.StartNew();
        using var replica = new InProcessReplica(
            assignment => runtime.Load(assignment, null, TestContext.Current.CancellationToken),
            Layout.EvenStages(runtime.Model.LayerCount, 1, 1), 1, new ReplicaBounds(300, 512, 8));
        var seconds = clock.Elapsed.TotalSeconds;
        var prefill = new BenchWorkload(replica, runtime.Model.VocabularySize, batch: 1, pagesEach: 33);
        prefill.Prefill(0, PrefillTokens);
        clock.Restart();
        prefill.Prefill(0, PrefillTokens);
        var rate = PrefillTokens / clock.Elapsed.TotalSeconds;
        output.WriteLine(
            $"{(map ? "mapped" : "copied")}: load {seconds:0.00} s, {bytes / seconds / 1e9:0.0} GB/s; "
            + $"decode of 1: {Decode(1):0.0} ms, of 8: {Decode(8):0.0} ms; prefill {rate:0} tokens/s");
        return seconds;

        double Decode(int batch)
        {
            var workload = new BenchWorkload(replica, runtime.Model.VocabularySize, batch, pagesEach: 33);
            workload.FillContext(Context, Context);
            for (var i = 0; i < 3; i++) workload.Decode(Context + i);
            clock.Restart();
            for (var i = 0; i < Steps; i++) workload.Decode(Context + 3 + i);
            return clock.Elapsed.TotalMilliseconds / Steps;
        }
    }
}
