using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>A real Prometheus that scrapes one address every second. Disposal ends it.</summary>
internal sealed partial class PrometheusServer : IAsyncDisposable
{
    private const string Program = "/usr/bin/prometheus";
    private static readonly TimeSpan WaitMax = Waits.Max;
    private static readonly TimeSpan AskPeriod = TimeSpan.FromMilliseconds(250);

    private readonly Process _process;
    private readonly DirectoryInfo _folder;
    private readonly HttpClient _http;

    private PrometheusServer(Process process, DirectoryInfo folder, Uri address)
    {
        _process = process;
        _folder = folder;
        _http = new HttpClient { BaseAddress = address };
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static async Task<PrometheusServer> StartAsync(Uri target)
    {
        Assert.SkipUnless(File.Exists(Program), "Prometheus is not installed; apt-get install prometheus brings it.");
        var folder = Directory.CreateTempSubdirectory("spotserve-prometheus-");
        var config = Path.Combine(folder.FullName, "prometheus.yml");
        await File.WriteAllTextAsync(
            config,
            $$"""
            global: {scrape_interval: 1s, scrape_timeout: 1s}
            scrape_configs:
              - job_name: spotserve
                static_configs: [{targets: ["{{target.Authority}}"]}]
            """,
            Cancel);
        var start = new ProcessStartInfo(
            Program,
            [
                $"--config.file={config}", $"--storage.tsdb.path={Path.Combine(folder.FullName, "data")}",
                "--web.listen-address=127.0.0.1:0",
            ])
        {
            RedirectStandardError = true,
        };
        var process = Process.Start(start)!;
        return new PrometheusServer(process, folder, await AddressAsync(process));
    }

    /// <summary>The one value that a query gives now; null when it gives none.</summary>
    public async Task<double?> AskAsync(string query)
    {
        using var answer = await _http.GetAsync(
            new Uri($"/api/v1/query?query={Uri.EscapeDataString(query)}", UriKind.Relative), Cancel);
        // It listens before its storage is open.
        if (answer.StatusCode == HttpStatusCode.ServiceUnavailable) return null;
        answer.EnsureSuccessStatusCode();
        using var json = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Cancel));
        var result = json.RootElement.GetProperty("data").GetProperty("result");
        if (result.GetArrayLength() == 0) return null;
        Assert.Equal(1, result.GetArrayLength());
        return double.Parse(result[0].GetProperty("value")[1].GetString()!, CultureInfo.InvariantCulture);
    }

    /// <summary>Asks until the answer is one that is waited for.</summary>
    public async Task<double> AskUntilAsync(string query, Func<double, bool> isDue)
    {
        using var timer = new PeriodicTimer(AskPeriod);
        double? answer = null;
        for (var left = WaitMax; left > TimeSpan.Zero; left -= AskPeriod)
        {
            answer = await AskAsync(query);
            if (answer is { } value && isDue(value)) return value;
            await timer.WaitForNextTickAsync(Cancel);
        }

        Assert.Fail($"{query} was {answer?.ToString(CultureInfo.InvariantCulture) ?? "nothing"} to the end");
        return 0;
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        _folder.Delete(recursive: true);
    }

    /// <summary>It says where it listens, and must be read on lest it stop at a full pipe.</summary>
    private static async Task<Uri> AddressAsync(Process process)
    {
        var found = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
        process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is { } text && Listening().Match(text) is { Success: true } match)
                found.TrySetResult(new Uri($"http://{match.Groups[1].Value}"));
        };
        process.BeginErrorReadLine();
        return await found.Task.WaitAsync(WaitMax, Cancel);
    }

    [GeneratedRegex(@"msg=""Listening on"" address=(\S+)")]
    private static partial Regex Listening();
}
