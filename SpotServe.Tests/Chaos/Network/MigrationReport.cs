using System.Globalization;
using SpotServe.Seed.Bench;
using SpotServe.Tests.EndToEnd;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Chaos.Network;

/// <summary>
/// What a change of machines costs a 1-billion-parameter model over links of 1 Gbit/s: copying while the old layout
/// serves, beside stopping it first as the paper does. By command, because it writes 2.2 GB and takes minutes; needs
/// root: <c>SpotServe.Tests -explicit only -class SpotServe.Tests.Chaos.Network.MigrationReport -showLiveOutput</c>.
/// </summary>
[Collection(nameof(OneClusterAtATime))]
public sealed class MigrationReport(ITestOutputHelper output)
{
    private const int Streams = 4;
    private const double LinkBitsPerSecond = 1e9;
    private const double PauseRatioMin = 10;
    private const int ChangeSecondsMax = 300;
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(20);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact(Explicit = true)]
    public async Task Pause_of_copying_while_serving_is_a_tenth_of_that_of_stopping_first()
    {
        IpTool.SkipWhereImpossible();
        var folder = Path.Combine(TemporaryFolders.Create(), "made-1b");
        MadeModel.WriteOneBillion(folder);

        var stop = await MeasureAsync(folder, "stop");
        var copy = await MeasureAsync(folder, "copy");

        output.WriteLine(Text(
            $"pause {stop:0} ms when stopped first, {copy:0} ms when copied; ratio {stop / copy:0.0}"));
        Assert.True(stop / copy >= PauseRatioMin, Text($"ratio {stop / copy:0.0}"));
    }

    /// <summary>Two of three nodes serve; one of the two gets notice, and the spare one takes its place.</summary>
    /// <returns>The pause in milliseconds.</returns>
    private async Task<double> MeasureAsync(string model, string migration)
    {
        // The planner believes disks to be slow: nodes here share a page cache, which would hide the link.
        await using var cluster = await NetworkCluster.StartAsync(
            3,
            [
                "--layout", "1,2,1", "--sequences-max", "8", "--migration", migration,
                "--network-rate", "0.125", "--disk-rate", "0.001",
            ],
            ["--dtype", "bfloat16", "--memory", "2.2", "--grace", $"{ChangeSecondsMax}"],
            model,
            prepare: lab =>
            {
                foreach (var host in lab.Hosts) lab.LimitBandwidth(host, LinkBitsPerSecond);
            });
        var streams = await TimedStreams.StartAsync(cluster.Http, Streams);
        var quietFrom = TimeProvider.System.GetUtcNow();
        await PauseAsync(Quiet);
        var noticeAt = TimeProvider.System.GetUtcNow();
        SeedProcess.Signal(cluster.Nodes[^1].Process.Id, "TERM");
        var line = await SecondLayoutAsync(cluster);
        var servesAt = TimeProvider.System.GetUtcNow();
        await PauseAsync(Quiet / 4);
        await streams.EndAsync();

        var copying = line.Phases.Single(phase => phase.Name == "PreCopying");
        var copyFrom = line.StartedAt.AddMilliseconds(copying.StartMs);
        output.WriteLine($"{migration}: {line}");
        output.WriteLine($"  {string.Join(", ", line.Phases.Select(phase => phase.ToString()))}");
        Tell("gaps before", streams.Within(quietFrom, noticeAt));
        Tell("gaps during PreCopying", streams.Within(copyFrom, copyFrom.AddMilliseconds(copying.DurationMs)));
        var longest = streams.Longest(2 * Streams, noticeAt, servesAt)
            .Select(gap => Text($"{gap.Took:0} (at {gap.Began:0})"));
        output.WriteLine($"  longest gaps of a stream from the notice on, ms: {string.Join(", ", longest)}");
        return line.PauseMs!.Value;
    }

    private static async Task<ReconfigurationLine> SecondLayoutAsync(NetworkCluster cluster)
    {
        for (var second = 0; second < ChangeSecondsMax; second++)
        {
            await PauseAsync(TimeSpan.FromSeconds(1));
            var all = await ReconfigurationLine.AllAsync(cluster.Http);
            if (all is [_, .., { IsServing: true } last]) return last;
        }

        Assert.Fail($"no second layout serves after {ChangeSecondsMax} s:\n{cluster.WhatWasSaid()}");
        throw new System.Diagnostics.UnreachableException();
    }

    private void Tell(string what, double[] gaps) => output.WriteLine(gaps.Length == 0
        ? $"  {what}: none"
        : $"  {what} ({gaps.Length}): " + Text(
            $"mean {gaps.Average():0} ms, p50 {At(gaps, 0.5):0}, p99 {At(gaps, 0.99):0}, max {gaps[^1]:0}"));

    private static double At(double[] sorted, double share) => sorted[(int)(share * (sorted.Length - 1))];

    private static async Task PauseAsync(TimeSpan time)
    {
        using var timer = new PeriodicTimer(time);
        await timer.WaitForNextTickAsync(Cancel);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
