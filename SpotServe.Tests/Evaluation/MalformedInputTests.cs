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
    [InlineData("{\"layer_num\": 32, \"tp--1\": {\"bsz-1\": {\"init\": 1, \"incr\": 1}}}", "A profile key is tp--1")]
    [InlineData("{\"layer_num\": 32, \"tp-1\": {\"foo-1\": {\"init\": 1, \"incr\": 1}}}", "A profile key is foo-1")]
    [InlineData(
        "{\"layer_num\": 32, \"tp-1\": {\"bsz-1\": {\"init\": 1, \"incr\": 1}, \"bsz-01\": {\"init\": 2, "
        + "\"incr\": 2}}}",
        "The profile's tp-1 is without one meaning: bsz-1 is there twice")]
    [InlineData(
        "{\"layer_num\": 32, \"tp-1\": {\"bsz-1\": {\"init\": 1, \"incr\": 1}}, \"tp-01\": {\"bsz-1\": {\"init\": 1, "
        + "\"incr\": 1}}}", "A profile key is tp-01, for the second time")]
    [InlineData(
        "{\"layer_num\": 32, \"tp-1\": {\"bsz-1\": {\"init\": 1, \"incr\": 1}}, \"embed\": []}",
        "The profile's embed is []")]
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
    public void A_profile_of_another_model_is_refused_and_keys_that_are_not_known_are_listed()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var (profile, machines) = (
                Path.Combine(folder.FullName, "p.json"), Path.Combine(folder.FullName, "machines.csv"));
            File.WriteAllText(machines, "seconds,machines\n0,1\n30,1\n");
            string[] arguments = ["simulate", "--availability", machines, "--machine", "1xA100", "--profile", profile];

            File.WriteAllText(profile, Profile(layers: 12));
            var other = SimulateCommandTests.Run(arguments);
            File.WriteAllText(profile, Profile(layers: 32));
            var same = SimulateCommandTests.Run(arguments);

            Assert.Equal(1, other.Code);
            Assert.Contains($"{profile}: The profile's layer_num is 12; it must be 32", other.Error,
                StringComparison.Ordinal);
            Assert.Equal(0, same.Code);
            Assert.Contains("the key colour is not known", same.Output, StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        static string Profile(int layers) =>
            $"{{\"layer_num\": {layers}, \"colour\": 1, \"tp-1\": {{\"bsz-1\": {{\"init\": 1, \"incr\": 1}}}}, " + Rest;
    }

    [Theory]
    [InlineData("--paper --availability x", "one of --paper")]
    [InlineData("--availability no/such/file", "no/such/file is not there; give the path of a file")]
    [InlineData("--paper --traces .", "give one with spotserve/segments")]
    [InlineData("--paper --out /proc/x", "--out /proc/x cannot be written to")]
    public void What_cannot_be_done_is_said_before_anything_is_simulated(string arguments, string expected)
    {
        var (code, output, error) = SimulateCommandTests.Run(["simulate", .. arguments.Split(' ')]);

        Assert.Equal(1, code);
        Assert.Equal("", output);
        Assert.Contains(expected, error, StringComparison.Ordinal);
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
