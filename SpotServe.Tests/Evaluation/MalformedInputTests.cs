using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;
using Xunit;

namespace SpotServe.Tests.Evaluation;

/// <summary>What else the verb reads besides traces: whatever is wrong is said, with what stands there.</summary>
public sealed class MalformedInputTests
{
    private const string Rest = "\"embed\": [1], \"final_fix_factor\": 1, \"pp_init_comm\": 1, \"pp_incr_comm\": 1}";

    [Theory]
    [InlineData("{", "The profile is ")]
    [InlineData("[]", "The profile is no JSON object")]
    [InlineData("{\"layer_num\": \"x\"}", "The profile's layer_num is \"x\"; it must be a whole number of 1 to")]
    [InlineData("{\"layer_num\": 1e300}", "The profile's layer_num is 1e300")]
    [InlineData("{\"layer_num\": 32}", "The profile's tp-M tables is missing")]
    [InlineData("{\"layer_num\": 32, \"tp-1\": 3}", "The profile's tp-1 is 3")]
    [InlineData("{\"layer_num\": 32, \"tp-1\": {}, " + Rest, "The profile's tp-1 is {}")]
    [InlineData(
        "{\"layer_num\": 32, \"tp-one\": {\"bsz-1\": {\"init\": 1, \"incr\": 1}}, " + Rest, "A profile key is tp-one")]
    [InlineData("{\"layer_num\": 32, \"tp-1\": {\"bsz-1\": {\"init\": 1}}}", "The profile's incr is missing")]
    [InlineData("{\"layer_num\": 32, \"tp-1\": {\"bsz-1\": {\"init\": -1, \"incr\": 1}}}", "The profile's init is -1")]
    [InlineData(
        "{\"layer_num\": 32, \"tp-1\": {\"bsz-1\": {\"init\": 1, \"incr\": 1}}, \"embed\": 3}",
        "The profile's embed is 3")]
    public void A_malformed_profile_is_refused_by_what_stands_there(string json, string message)
    {
        var error = Assert.Throws<PlanningInputException>(() => ProfileTable.Parse("p.json", json));

        Assert.StartsWith("p.json: " + message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{", "is no JSON: ")]
    [InlineData("[1]", "is no JSON object")]
    [InlineData("{\"a\": {\"\\ud800\": 1}}", "half of a surrogate pair")]
    [InlineData("{\"num_attention_heads\": \"x\"}", "num_attention_heads in ")]
    public void A_malformed_configuration_is_refused_with_its_path(string json, string message)
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var path = Path.Combine(folder.FullName, "config.json");
            var machines = Path.Combine(folder.FullName, "machines.csv");
            File.WriteAllText(path, json);
            File.WriteAllText(machines, "seconds,machines\n0,1\n60,1\n");

            var (code, _, error) = SimulateCommandTests.Run("simulate", "--availability", machines, "--model", path);

            Assert.Equal(1, code);
            Assert.Contains(message, error, StringComparison.Ordinal);
            Assert.Contains(path, error, StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void Machines_that_can_never_hold_the_model_end_with_the_reason()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, "seconds,machines\n0,2\n60,2\n");

            var (code, _, error) = SimulateCommandTests.Run(
                "simulate", "--availability", path, "--model", "llama-70b", "--machine", "1xT4", "--machines", "2");

            Assert.Equal(1, code);
            Assert.Contains("T4", error, StringComparison.Ordinal);
            Assert.Contains("GiB", error, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>What is no JSON says so without the parser's own count of lines, which is always that of one
    /// line.</summary>
    [Fact]
    public void Why_json_is_none_is_told_without_a_second_line_number()
    {
        var error = Assert.Throws<TraceException>(
            () => AvailabilityReader.Read("file", "[0, \"add\", {\"nodes\": [\"a\"]}]\n[5"));

        Assert.DoesNotContain("LineNumber", error.Message, StringComparison.Ordinal);
        Assert.EndsWith("of the line.", error.Message, StringComparison.Ordinal);
    }
}
