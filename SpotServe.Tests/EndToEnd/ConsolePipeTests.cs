using System.Diagnostics;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>Serving does not depend on whoever reads what the program says.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class ConsolePipeTests
{
    private static readonly TimeSpan StartMax = Waits.Max;
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(60);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>The shell ends up as the program, with its output where nobody takes it.</summary>
    [Theory]
    [InlineData("exec \"$@\" >&- 2>&-")]
    [InlineData("exec \"$@\" >/dev/full 2>&1")]
    [InlineData("mkfifo \"$PIPE\" && exec 9<>\"$PIPE\" && " +
        "dd if=/dev/zero of=\"$PIPE\" bs=4096 count=16 status=none && exec \"$@\" >\"$PIPE\" 2>&1")]
    public async Task Cluster_serves_and_stops_in_time_when_nobody_takes_its_output(string shell)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The shell's ways to break a pipe are those of Linux.");
        var data = Directory.CreateTempSubdirectory("spotserve-test-").FullName;
        var port = FreePorts.Take(1)[0];
        using var seed = Start(shell, data, port);
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
        try
        {
            await ReadyAsync(http, seed);
            var story = GoldenStories.Load()[0];
            var text = await Completions.WholeAsync(http, story.Prompt, story.Tokens.Length);
            Assert.True(story.Matches(text));

            SeedProcess.Signal(seed.Id, "TERM");
            await seed.WaitForExitAsync(Cancel).WaitAsync(StopMax, Cancel);
            Assert.Equal(0, seed.ExitCode);
        }
        finally
        {
            if (!seed.HasExited) seed.Kill(entireProcessTree: true);
            Directory.Delete(data, recursive: true);
        }
    }

    private static Process Start(string shell, string data, int port)
    {
        var start = new ProcessStartInfo("sh", ["-c", shell, "sh"]);
        start.ArgumentList.Add("dotnet");
        start.ArgumentList.Add(SeedProcess.SeedProgram);
        foreach (var argument in (string[])["--port", $"{port}", "--nodes", "1", "--data", data])
            start.ArgumentList.Add(argument);
        start.Environment["PIPE"] = Path.Combine(data, "pipe");
        return Process.Start(start)!;
    }

    private static async Task ReadyAsync(HttpClient http, Process seed)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        for (var since = Stopwatch.StartNew(); since.Elapsed < StartMax; await timer.WaitForNextTickAsync(Cancel))
        {
            Assert.False(seed.HasExited, "it ended before it was ready");
            try
            {
                using var ready = await http.GetAsync("/ready", Cancel);
                if (ready.IsSuccessStatusCode) return;
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }
        }

        Assert.Fail("it was not ready in time");
    }
}
