using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using SpotServe.Seed.Bench;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>
/// Memory and loading of a 1-billion-parameter model over four nodes. By command, because it writes 2.2 GB:
/// <c>SpotServe.Tests -explicit only -class SpotServe.Tests.EndToEnd.OneBillionReport -showLiveOutput</c>.
/// </summary>
[Collection(nameof(OneClusterAtATime))]
public sealed partial class OneBillionReport(ITestOutputHelper output)
{
    private const double SlackBytes = 700e6;

    [Theory(Explicit = true)]
    [InlineData("1,4,1")]
    [InlineData("1,1,4")]
    public async Task A_node_peaks_at_its_share_of_the_weights_and_loads_at_half_the_rate_of_a_plain_read(string layout)
    {
        var folder = Path.Combine(TemporaryFolders.Create(), "made-1b");
        var bytes = MadeModel.WriteOneBillion(folder);
        ReadIntoBuffer(folder);   // into the page cache
        var bufferRate = bytes / ReadIntoBuffer(folder).TotalSeconds / 1e9;
        var memoryRate = bytes / ReadIntoNewMemory(folder).TotalSeconds / 1e9;

        var (seed, http) = await SeedProcess.StartAsync(
            "--port", "0", "--nodes", "4", "--layout", layout, "--model", folder, "--dtype", "bfloat16",
            "--sequences-max", "8");
        await using var _ = seed;
        using var client = http;
        var text = await Completions.WholeAsync(http, "Once upon a time", 8);

        var log = await File.ReadAllTextAsync(
            Path.Combine(seed.DataFolder, "logs", "seed.log"), TestContext.Current.CancellationToken);
        var seconds = SecondsToReady(log);
        var peaks = seed.NodeIds().Select(PeakBytes).Order().ToArray();
        output.WriteLine($"layout {layout}: weights {bytes / 1e6:N0} MB, answer of {text.Length} characters");
        output.WriteLine($"peak of each node, MB: {string.Join(", ", peaks.Select(peak => $"{peak / 1e6:N0}"))}");
        output.WriteLine($"load, s: {string.Join(", ", seconds)}; together {bytes / seconds.Max() / 1e9:0.00} GB/s");
        output.WriteLine(
            $"reading the same file from the page cache: into new memory, as a load must, {memoryRate:0.00} GB/s; " +
            $"into one small buffer again and again {bufferRate:0.00} GB/s");
        Assert.Equal(4, peaks.Length);
        Assert.All(peaks, peak => Assert.True(peak <= (bytes / 4.0 * 1.2) + SlackBytes, $"{peak / 1e6:N0} MB"));
        Assert.True(bytes / seconds.Max() / 1e9 >= memoryRate / 2);
    }

    /// <summary>The page cache is emptied before both, which takes root.</summary>
    [Fact(Explicit = true)]
    public async Task Weights_load_from_the_disk_at_half_the_rate_of_reading_it_in_order()
    {
        if (!Environment.IsPrivilegedProcess) Assert.Skip("Emptying the page cache needs root.");
        var folder = Path.Combine(TemporaryFolders.Create(), "made-1b");
        var bytes = MadeModel.WriteOneBillion(folder);
        EmptyPageCache();
        var diskRate = bytes / ReadIntoBuffer(folder).TotalSeconds / 1e9;
        EmptyPageCache();

        var (seed, http) = await SeedProcess.StartAsync(
            "--port", "0", "--nodes", "4", "--layout", "1,4,1", "--model", folder, "--dtype", "bfloat16",
            "--sequences-max", "8");
        await using var _ = seed;
        using var __ = http;

        var log = await File.ReadAllTextAsync(
            Path.Combine(seed.DataFolder, "logs", "seed.log"), TestContext.Current.CancellationToken);
        var rate = bytes / SecondsToReady(log).Max() / 1e9;
        output.WriteLine(
            $"from the disk: load of all four together {rate:0.00} GB/s, read in order {diskRate:0.00} GB/s");
        Assert.True(rate >= diskRate / 2);
    }

    private static void EmptyPageCache()
    {
        using (var sync = Process.Start("sync")) sync.WaitForExit();
        File.WriteAllText("/proc/sys/vm/drop_caches", "3");
    }

    private static double[] SecondsToReady(string log) => [.. Ready().Matches(log)
        .Select(match => double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))];

    private static TimeSpan ReadIntoBuffer(string folder)
    {
        var buffer = new byte[1 << 20];
        var started = Stopwatch.GetTimestamp();
        using var file = File.OpenHandle(Path.Combine(folder, "model.safetensors"));
        for (var at = 0L; RandomAccess.Read(file, buffer, at) is > 0 and var read; at += read)
        {
        }

        return Stopwatch.GetElapsedTime(started);
    }

    private static unsafe TimeSpan ReadIntoNewMemory(string folder)
    {
        const int Piece = 8 << 20;
        using var file = File.OpenHandle(Path.Combine(folder, "model.safetensors"));
        var length = RandomAccess.GetLength(file);
        var started = Stopwatch.GetTimestamp();
        var memory = (byte*)NativeMemory.Alloc((nuint)(length + Piece));
        var read = 1;
        for (var at = 0L; read > 0; at += read) read = RandomAccess.Read(file, new Span<byte>(memory + at, Piece), at);

        var elapsed = Stopwatch.GetElapsedTime(started);
        NativeMemory.Free(memory);
        return elapsed;
    }

    private static double PeakBytes(int processId) => 1024.0 * long.Parse(
        Peak().Match(File.ReadAllText($"/proc/{processId}/status")).Groups[1].Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"is ready after ([\d.]+) s")]
    private static partial Regex Ready();

    [GeneratedRegex(@"VmHWM:\s+(\d+) kB")]
    private static partial Regex Peak();
}
