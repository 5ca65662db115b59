using System.CommandLine;
using System.Text.Json;
using SpotServe.Seed.Commands;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class PlanCommandTests
{
    private static readonly string[] Flags =
    [
        "plan", "--model", "llama-7b", "--instances", "4x4xA10G", "--rate", "2",
        "--current", "2,2,4,8", "--cached", "600", "--leave", "node3", "--grace", "60", "--objective", "throughput",
    ];

    [Fact]
    public void Flags_give_tables_of_layout_alternatives_mapping_steps_and_cut_over()
    {
        var (code, output, error) = Run(Flags);
        TestContext.Current.TestOutputHelper?.WriteLine(output);

        Assert.Equal("", error);
        Assert.Equal(0, code);
        string[] parts =
            ["Layout (D,P,M)", "Alternatives", "Requests/s", "Mapping", "Migration", "Moves", "Cut-over after"];
        Assert.All(parts, part => Assert.Contains(part, output, StringComparison.Ordinal));
    }

    [Fact]
    public void Json_has_every_step_and_the_mapping()
    {
        var (code, output, _) = Run([.. Flags, "--json"]);

        Assert.Equal(0, code);
        using var plan = JsonDocument.Parse(output);
        var chosen = plan.RootElement.GetProperty("chosen");
        var positions = chosen.GetProperty("replicas").GetInt32() * chosen.GetProperty("stages").GetInt32()
            * chosen.GetProperty("ranks").GetInt32();
        Assert.Equal(positions, plan.RootElement.GetProperty("mapping").GetArrayLength());
        Assert.True(plan.RootElement.GetProperty("migration").GetProperty("steps").GetArrayLength() > 0);
        Assert.NotEqual("", plan.RootElement.GetProperty("cutOver").GetProperty("text").GetString());
    }

    [Fact]
    public void A_file_describes_mixed_instances_a_shape_and_a_current_layout()
    {
        var (code, output, error) = RunFile("""
            {
              "model": { "shape": { "name": "mine", "layers": 24, "hidden": 2048, "heads": 16, "kvHeads": 4,
                                    "intermediate": 8192, "vocabulary": 32000 } },
              "kinds": [ { "name": "slow", "memoryGib": 8, "weightGbps": 100, "tflops": 10, "pricePerHour": 0.2 },
                         { "name": "fast", "memoryGib": 16, "weightGbps": 400, "tflops": 50, "pricePerHour": 0.9 } ],
              "instances": [ { "name": "s", "count": 2, "kind": "slow", "devices": 2 },
                             { "name": "f", "kind": "fast", "devices": 2, "joins": true },
                             { "name": "gone", "kind": "slow", "devices": 2, "leavesInSeconds": 20 } ],
              "load": { "requestsPerSecond": 3, "promptTokens": 200, "outputTokens": 100 },
              "objective": "slo", "sloSeconds": 20,
              "current": { "replicas": 1, "stages": 3, "ranks": 2, "batchSize": 4, "cachedTokens": 250 }
            }
            """, "--json");

        Assert.Equal("", error);
        Assert.Equal(0, code);
        using var plan = JsonDocument.Parse(output);
        Assert.All(plan.RootElement.GetProperty("mapping").EnumerateArray(), position =>
            Assert.DoesNotContain("gone", position.GetProperty("device").GetString()!, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("""{ "model": { "preset": "llama-70b" }, "instances": [ { "kind": "T4", "devices": 1 } ] }""",
        "short by")]
    [InlineData("""{ "model": { "preset": "llama-7b" } }""", "No device is available")]
    [InlineData("""{ "model": { "preset": "nonsense" } }""", "The model is nonsense")]
    [InlineData("""{ "model": { "preset": "llama-7b" }, "instances": [ { "kind": "T9" } ] }""",
        "The device kind is T9")]
    [InlineData("""{ "unknown": 1 }""", "unknown")]
    [InlineData("""{ "load": null }""", "load")]
    [InlineData("""{ "model": { "preset": "llama-7b" }, "joinInSeconds": 1e300 }""",
        "The time until instances are ready")]
    [InlineData("""{ "model": { "preset": "llama-7b" }, "instances": [ {"name":"a"}, {"name":"a"} ] }""",
        "named twice")]
    [InlineData("""{ "model": { "preset": "llama-7b" }, "ranks": [3], "instances": [ {"kind":"H100"} ] }""",
        "32 attention heads")]
    [InlineData(
        """{ "model": { "preset": "llama-7b" }, "links": { "interNodeGbits": -1 }, "instances": [{"kind":"H100"}] }""",
        "Bandwidth between nodes is")]
    [InlineData(
        """{ "model": {"preset": "llama-7b"}, "load": {"requestsPerSecond": -2}, "instances": [{"kind":"H100"}] }""",
        "The arrival rate is -2")]
    public void Impossible_inputs_exit_with_1_and_say_why(string json, string message)
    {
        var (code, output, error) = RunFile(json);

        Assert.Equal(1, code);
        Assert.Equal("", output);
        Assert.Contains(message, error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--instances", "0x4")]
    [InlineData("--instances", "many")]
    [InlineData("--current", "1,2")]
    [InlineData("--rate", "NaN")]
    public void Flags_that_make_no_sense_exit_with_1_and_say_why(string flag, string value)
    {
        string[] rest = flag == "--instances" ? [] : ["--instances", "1x1xH100"];

        var (code, _, error) = Run(["plan", "--model", "llama-7b", flag, value, .. rest]);

        Assert.Equal(1, code);
        Assert.NotEqual("", error);
    }

    [Fact]
    public void A_missing_file_exits_with_1()
    {
        var (code, _, error) = Run(["plan", "no-such-file.json"]);

        Assert.Equal(1, code);
        Assert.Contains("no-such-file.json", error, StringComparison.Ordinal);
    }

    private static (int Code, string Output, string Error) RunFile(string json, params string[] flags)
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, json);
            return Run(["plan", file, .. flags]);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static (int Code, string Output, string Error) Run(string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var root = new RootCommand { PlanCommand.Create() };
        var code = root.Parse(arguments).Invoke(new InvocationConfiguration { Output = output, Error = error });
        return (code, output.ToString(), error.ToString());
    }
}
