using System.Diagnostics;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>OpenAI's own client from npm uses the product: what it does is in clients/openai.mjs.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class OpenAiClientTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Client_of_openai_gets_all_that_it_asks_for()
    {
        using var folder = new ClientFolder();
        await folder.RunAsync("npm", "install", "--no-audit", "--no-fund", "--no-package-lock");
        var (seed, http) = await SeedProcess.StartAsync("--port", "0", "--nodes", "2", "--open-requests-max", "4");
        await using var _ = seed;
        using var client = http;

        var output = await folder.RunAsync(
            "node", "openai.mjs", http.BaseAddress!.ToString().TrimEnd('/'), "tinystories-4m");

        Assert.Equal(8, output.Split('\n').Count(line => line.StartsWith("ok ", StringComparison.Ordinal)));
    }

    private sealed class ClientFolder : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("spotserve-clients-");

        public ClientFolder()
        {
            foreach (var file in Directory.GetFiles(Checkout.Of("SpotServe.Tests", "EndToEnd", "clients")))
                File.Copy(file, Path.Combine(_folder.FullName, Path.GetFileName(file)));
        }

        public async Task<string> RunAsync(string program, params string[] arguments)
        {
            using var process = Start(program, arguments);
            var errors = process.StandardError.ReadToEndAsync(Cancel);
            var output = await process.StandardOutput.ReadToEndAsync(Cancel);
            await process.WaitForExitAsync(Cancel);
            Assert.True(process.ExitCode == 0, $"{program}: {output}{await errors}");
            return output;
        }

        public void Dispose() => _folder.Delete(recursive: true);

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
                Assert.Skip($"{program} is not installed; it is needed to use OpenAI's client");
                throw;
            }
        }
    }
}
