using System.Diagnostics;
using SpotServe.Tests.Golden;
using SpotServe.Tests.Tracing;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>One running cluster that takes 4 open requests, for all tests of clients, and a folder with those of
/// npm.</summary>
public sealed class ClientCluster : IAsyncLifetime
{
    public const int OpenRequestsMax = 4;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("spotserve-clients-");
    private OtlpReceiver? _telemetry;
    private SeedProcess? _seed;
    private HttpClient? _http;
    private Task<string>? _installed;

    public HttpClient Http => _http!;

    /// <summary>The collector that the cluster's processes send to.</summary>
    internal OtlpReceiver Telemetry => _telemetry!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _telemetry = await OtlpReceiver.StartAsync();
        // Spans are sent when so many milliseconds have passed, instead of 5,000.
        _seed = SeedProcess.Begin(
            new Dictionary<string, string> { ["OTEL_BSP_SCHEDULE_DELAY"] = "200" },
            "--port", "0", "--nodes", "2", "--open-requests-max", $"{OpenRequestsMax}",
            "--otlp", _telemetry.Address.AbsoluteUri);
        _http = await _seed.ReadyAsync();
    }

    /// <summary>Runs one of the scripts in the folder "clients"; gives the names of what went well.</summary>
    public async Task<string[]> RunAsync(string script)
    {
        await (_installed ??= InstallAsync());
        var output = await StartAsync(
            "node", script, Http.BaseAddress!.ToString().TrimEnd('/'), "tinystories-4m");
        return [.. output.Split('\n').Where(line => line.StartsWith("ok ", StringComparison.Ordinal))
            .Select(line => line["ok ".Length..])];
    }

    public async ValueTask DisposeAsync()
    {
        _http?.Dispose();
        if (_seed is not null) await _seed.DisposeAsync();
        if (_telemetry is not null) await _telemetry.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    private Task<string> InstallAsync()
    {
        foreach (var file in Directory.GetFiles(Checkout.Of("SpotServe.Tests", "EndToEnd", "clients")))
            File.Copy(file, Path.Combine(_folder.FullName, Path.GetFileName(file)));
        return StartAsync("npm", "install", "--no-audit", "--no-fund", "--no-package-lock");
    }

    private async Task<string> StartAsync(string program, params string[] arguments)
    {
        using var process = Start(program, arguments);
        var errors = process.StandardError.ReadToEndAsync(Cancel);
        var output = await process.StandardOutput.ReadToEndAsync(Cancel);
        await process.WaitForExitAsync(Cancel);
        Assert.True(process.ExitCode == 0, $"{program}: {output}{await errors}");
        return output;
    }

    private Process Start(string program, string[] arguments)
    {
        try
        {
            return Process.Start(new ProcessStartInfo(program, arguments)
            {
                WorkingDirectory = _folder.FullName,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip($"{program} is not installed; it is needed to use clients from npm");
            throw;
        }
    }
}
