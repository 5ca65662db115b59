using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Evaluation;

/// <summary>Hash codes of strings, and so the order in sets and dictionaries, differ from process to process: only
/// two processes show that no result depends on them.</summary>
[Trait("Category", "EndToEnd")]
public sealed class SameInEveryProcessTests
{
    [Fact]
    public async Task A_simulation_of_pools_is_the_same_bit_for_bit_in_two_processes()
    {
        var folder = Directory.CreateTempSubdirectory("spotserve-same");
        try
        {
            string[] pools =
            [
                Pool(folder, "a", "0,3\n60,2\n120,4\n240,4"), Pool(folder, "b", "0,2\n90,0\n180,3\n240,3"),
            ];
            string[] arguments =
            [
                "simulate", "--availability", .. pools, "--rate", "2", "--cv", "3", "--seed", "7", "--machines", "5",
                "--floor", "3", "--launch", "20", "--notice", "0", "--json",
            ];

            var both = await Task.WhenAll(
                TerminalVerbTests.RunAsync("", arguments), TerminalVerbTests.RunAsync("", arguments));
            var (first, second) = (both[0], both[1]);

            Assert.True(first.Code == 0, first.Errors);
            Assert.Contains("all pools", first.Output, StringComparison.Ordinal);
            Assert.Equal(first.Output, second.Output);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static string Pool(DirectoryInfo folder, string name, string rows)
    {
        var path = Path.Combine(folder.FullName, name + ".csv");
        File.WriteAllText(path, "seconds,machines\n" + rows + "\n");
        return path;
    }
}
