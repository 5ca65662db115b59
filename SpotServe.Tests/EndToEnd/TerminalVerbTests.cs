using System.Diagnostics;
using SpotServe.Seed.Templating;
using SpotServe.Tests.Api;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>Verbs that talk to a seed which runs, as a person starts them.</summary>
[Trait("Category", "EndToEnd")]
public sealed class TerminalVerbTests
{
    [Fact]
    public async Task Chat_sends_what_was_said_before_and_prints_answers_as_they_are()
    {
        await using var server = await ApiServer.StartAsync(chatTemplate: ChatTemplate.Of(
            "{% for message in messages %}{{ message.content }} {% endfor %}", new Dictionary<string, Value>()));
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(" a [red]dog"));

        var (code, output, _) = await RunAsync(
            "Who is it?\nAnd then?\n\n", "chat", "--url", server.Client.BaseAddress!.ToString());

        Assert.Equal(0, code);
        Assert.Equal(2, output.Split("a [red]dog").Length - 1);
        Assert.Equal(2, server.Cluster.Submitted.Count);
        // The second prompt has the first question, its answer and the second question.
        var prompts = server.Cluster.Submitted.Select(request => request.Prompt.Length).ToArray();
        Assert.InRange(prompts[1], prompts[0] + ApiServer.Ids(" a [red]dog").Length, int.MaxValue);
    }

    [Theory]
    [InlineData("http://127.0.0.1:1", "No seed answers at http://127.0.0.1:1")]
    [InlineData("nonsense", "--url nonsense is no address")]
    public async Task Verb_without_a_seed_says_so_in_one_line(string address, string said)
    {
        var (code, _, errors) = await RunAsync("", "top", "--url", address);

        Assert.Equal(1, code);
        Assert.Contains(said, Assert.Single(errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)),
            StringComparison.Ordinal);
    }

    /// <summary>Runs the seed's program to its end with this on its standard input.</summary>
    internal static async Task<(int Code, string Output, string Errors)> RunAsync(
        string input, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("dotnet", [SeedProcess.SeedProgram, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var cancel = TestContext.Current.CancellationToken;
        var output = process.StandardOutput.ReadToEndAsync(cancel);
        var errors = process.StandardError.ReadToEndAsync(cancel);
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        await process.WaitForExitAsync(cancel).WaitAsync(Waits.Max, cancel);
        return (process.ExitCode, await output, await errors);
    }
}
