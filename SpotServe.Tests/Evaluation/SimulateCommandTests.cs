using System.CommandLine;
using System.Text.Json;
using SpotServe.Seed.Commands;
using Xunit;

namespace SpotServe.Tests.Evaluation;

public sealed class SimulateCommandTests
{
    [Fact]
    public void Without_traces_the_papers_evaluation_says_where_they_are_and_runs_on_the_built_in_set()
    {
        var (code, output, error) = Run("simulate", "--paper", "--only", "GPT-20B", "--json");

        Assert.Equal("", error);
        Assert.Equal(0, code);
        Assert.Contains("github.com/Hsword/SpotServe", output, StringComparison.Ordinal);
        using var report = JsonDocument.Parse(output);
        Assert.True(report.RootElement.GetProperty("blocks").GetArrayLength() > 10);
    }

    [Fact]
    public void A_folder_that_is_not_there_is_an_error_that_names_it()
    {
        var (code, _, error) = Run("simulate", "--paper", "--traces", "/no/such/folder");

        Assert.Equal(1, code);
        Assert.Contains("/no/such/folder", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_that_the_paper_does_not_have_is_refused_with_those_that_it_has()
    {
        var (code, _, error) = Run("simulate", "--paper", "--only", "GPT-5");

        Assert.Equal(1, code);
        Assert.Contains("--only is GPT-5; it must be OPT-6.7B, GPT-20B, LLaMA-30B", error, StringComparison.Ordinal);
    }

    [Fact]
    public void An_assumption_out_of_range_is_refused_by_name()
    {
        var (code, _, error) = Run("simulate", "--paper", "--storage-gbps", "0");

        Assert.Equal(1, code);
        Assert.Contains("--storage-gbps is 0", error, StringComparison.Ordinal);
    }

    internal static (int Code, string Output, string Error) Run(params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = RootCommands.Create().Parse(arguments).Invoke(
            new InvocationConfiguration { Output = output, Error = error });
        return (code, output.ToString(), error.ToString());
    }
}
