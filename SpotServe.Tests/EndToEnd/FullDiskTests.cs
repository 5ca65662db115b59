using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using SpotServe.Tests.Chaos.Network;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>
/// A disk that fills under load and is freed again: what was accepted goes on, and the service says how it is.
/// SPOTSERVE_DISK_ROUNDS=10 for more rounds than CI has.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class FullDiskTests(ITestOutputHelper output)
{
    private const int StreamCount = 4;
    private const long GrowthMax = 96 << 20;
    private const string Prompt = "Once upon a time";
    private const int TokensMax = 600;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Disk_that_fills_under_load_costs_time_and_no_accepted_request()
    {
        using var disk = SmallDisk.Mount();
        var (seed, http) = await SeedProcess.StartAsync("--port", "0", "--nodes", "2", "--data", disk.Folder);
        await using var _ = seed;
        using var client = http;
        var expected = await Completions.WholeAsync(http, Prompt, TokensMax);
        var memory = 0L;

        for (var round = 0; round < Rounds(); round++)
        {
            var streams = Enumerable.Range(0, StreamCount).Select(_ => ReadAsync(http)).ToArray();
            var underway = await Task.WhenAll(streams.Select(stream => stream.Underway.WaitAsync(Waits.Max, Cancel)));
            disk.Fill();
            var trouble = await UntilAsync(http, HttpStatusCode.ServiceUnavailable, Waits.Max);
            Assert.False(trouble.GetProperty("journal").GetProperty("writable").GetBoolean());
            using var refused = await http.PostAsJsonAsync("/v1/completions", new { prompt = Prompt }, Cancel);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);

            disk.Free();
            var freed = Stopwatch.GetTimestamp();
            await UntilAsync(http, HttpStatusCode.OK, Waits.Max);
            output.WriteLine($"ready {Stopwatch.GetElapsedTime(freed).TotalSeconds:0.0} s after there was space");
            var texts = await Task.WhenAll(streams.Select(stream => stream.Text)).WaitAsync(Waits.Max, Cancel);

            Assert.All(underway, Assert.True);
            Assert.All(texts, text => Assert.Equal(expected, text));
            if (round == 0) memory = seed.ResidentBytes;
        }

        Assert.InRange(seed.ResidentBytes, 0, memory + GrowthMax);
    }

    private static int Rounds() =>
        int.TryParse(Environment.GetEnvironmentVariable("SPOTSERVE_DISK_ROUNDS"), out var rounds) ? rounds : 2;

    private static Stream ReadAsync(HttpClient http)
    {
        var underway = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        return new Stream(underway.Task, TextAsync());

        async Task<string> TextAsync()
        {
            var text = "";
            await foreach (var piece in Completions.PiecesAsync(http, Prompt, TokensMax))
            {
                text += piece;
                underway.TrySetResult(true);
            }

            return text;
        }
    }

    private static async Task<JsonElement> UntilAsync(HttpClient http, HttpStatusCode status, TimeSpan max)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        for (var since = Stopwatch.StartNew(); since.Elapsed < max; await timer.WaitForNextTickAsync(Cancel))
        {
            using var ready = await http.GetAsync("/ready", Cancel);
            if (ready.StatusCode == status)
                return JsonDocument.Parse(await ready.Content.ReadAsStringAsync(Cancel)).RootElement;
        }

        Assert.Fail($"/ready was not answered with {status} within {max}");
        return default;
    }

    /// <param name="Underway">Completes with the first piece.</param>
    private sealed record Stream(Task<bool> Underway, Task<string> Text);

    /// <summary>A volume of 24 MB in memory.</summary>
    private sealed class SmallDisk : IDisposable
    {
        private SmallDisk(string folder) => Folder = folder;

        public string Folder { get; }

        private string Filler => Path.Combine(Folder, "filler");

        public static SmallDisk Mount()
        {
            Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess,
                "Mounting a small volume needs Linux and root.");
            var folder = Directory.CreateTempSubdirectory("spotserve-disk-").FullName;
            var (code, error) = IpTool.Try("mount", $"-t tmpfs -o size=24m tmpfs {folder}");
            if (code == 0) return new SmallDisk(folder);
            Directory.Delete(folder);
            Assert.Skip($"This machine lets root mount no volume: {error}");
            throw new UnreachableException();
        }

        public void Fill()
        {
            var block = new byte[64 << 10];
            try
            {
                using var file = new FileStream(Filler, FileMode.Create, FileAccess.Write, FileShare.None, 0);
                while (true) file.Write(block);
            }
            catch (IOException)
            {
                // That was the last of it, but for less than a block.
            }
        }

        public void Free() => File.Delete(Filler);

        public void Dispose()
        {
            // Lazily: a process that is just ending may have a file open still.
            IpTool.Try("umount", $"-l {Folder}");
            Directory.Delete(Folder);
        }
    }
}
