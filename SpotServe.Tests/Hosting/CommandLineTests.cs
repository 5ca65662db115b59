using System.CommandLine;
using SpotServe.Actors.Hosting;
using SpotServe.Node.Commands;
using SpotServe.Seed.Commands;
using Xunit;

namespace SpotServe.Tests.Hosting;

/// <summary>What a person writes behind the programs' names.</summary>
public class CommandLineTests
{
    [Theory]
    [InlineData("--model")]
    [InlineData("--data")]
    [InlineData("--admin-key-file")]
    [InlineData("--database-file")]
    [InlineData("serve", "--secret-file")]
    [InlineData("serve", "--host")]
    [InlineData("chat", "--url")]
    public void Seed_s_option_with_an_empty_value_is_refused_by_name(params string[] words)
    {
        foreach (var empty in (string[])["", " "])
        {
            var refusal = Assert.Throws<UsageException>(() => RootCommands.Parse([.. words, empty]));

            Assert.StartsWith(words[^1], refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Node_s_option_with_an_empty_value_is_refused_by_name()
    {
        var root = new RootCommand();
        JoinCommand.Configure(root);

        Assert.StartsWith(
            "--model", EmptyOptions.Complaint(root.Parse(["--seed", "a:1", "--model", ""])), StringComparison.Ordinal);
        Assert.Null(EmptyOptions.Complaint(root.Parse(["--seed", "a:1", "--model", "b"])));
    }

    [Theory]
    [InlineData("--device", "gpu")]
    [InlineData("--device", "CUDA")]
    [InlineData("--device", "cuda:")]
    [InlineData("--device", "cuda:x")]
    [InlineData("--device", "cuda:-1")]
    [InlineData("--device", "cuda:64")]
    [InlineData("--dtype", "fp16")]
    [InlineData("--dtype", "Float32")]
    [InlineData("--numerics", "exact")]
    public void Engine_s_option_with_a_word_that_is_none_is_refused_by_nodes_and_by_who_starts_them(
        string option, string value)
    {
        foreach (var read in (Action<string[]>[])[ReadLocal, ReadNode])
        {
            var refusal = Assert.Throws<UsageException>(() => read([option, value]));

            Assert.StartsWith($"{option} is {value}; it must be ", refusal.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("--fleet", "ec2")]
    [InlineData("--migration", "move")]
    [InlineData("--objective", "cost")]
    [InlineData("--prefix-cache", "yes")]
    [InlineData("--spot-chaos", "0")]
    public void One_command_s_option_with_a_word_that_is_none_is_refused_before_anything_starts(
        string option, string value)
    {
        var refusal = Assert.Throws<UsageException>(() => ReadLocal([option, value]));

        Assert.StartsWith($"{option} is {value}; it must be ", refusal.Message, StringComparison.Ordinal);
    }

    /// <summary>A period must leave time to start a node.</summary>
    [Theory]
    [InlineData("0")]
    [InlineData("9.9")]
    [InlineData("1e300")]
    [InlineData("NaN")]
    public void Period_between_losses_out_of_range_is_refused_with_the_bounds(string seconds)
    {
        var refusal = Assert.Throws<UsageException>(() => ReadLocal(["--spot-chaos", seconds]));

        Assert.StartsWith("--spot-chaos is ", refusal.Message, StringComparison.Ordinal);
        Assert.EndsWith("; it must be 10 to 86400 seconds.", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--cloud", "ibm")]
    [InlineData("--speed", "fast")]
    public void Node_s_option_with_a_word_that_is_none_is_refused_before_it_opens_anything(string option, string value)
    {
        var refusal = Assert.Throws<UsageException>(() => ReadNode([option, value]));

        Assert.StartsWith($"{option} is {value}; it must be ", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cuda", 1, null, "no NVIDIA driver")]
    [InlineData("cuda", 1, 0, "finds no GPU")]
    [InlineData("cuda:2", 1, 2, "takes GPU 2 to 2, and this machine has 2")]
    [InlineData("cuda:1", 2, 2, "takes GPU 1 to 2, and this machine has 2")]
    public void Device_that_this_machine_has_not_is_refused_with_what_it_has(
        string device, int count, int? gpus, string said)
    {
        var refusal = Assert.Throws<UsageException>(() => EngineValues.Device(device, count, () => gpus));

        Assert.StartsWith("--device ", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(said, refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cuda", 1)]
    [InlineData("cuda:1", 1)]
    [InlineData("cuda:0", 2)]
    public void Device_that_this_machine_has_is_taken(string device, int count) =>
        Assert.Equal(device, EngineValues.Device(device, count, () => 2));

    [Theory]
    [InlineData("cuda", null, 4, 4)]
    [InlineData("cuda", 2, 4, 2)]
    [InlineData("cuda:1", null, 4, 1)]
    [InlineData("cuda", null, 200, EngineValues.GpusMax)]
    [InlineData("cpu", 3, 4, 3)]
    public void A_node_on_cuda_has_all_GPUs_of_its_machine_unless_told_otherwise(
        string device, int? given, int gpus, int expected) =>
        Assert.Equal(expected, EngineValues.Devices(device, given, () => gpus));

    [Theory]
    [InlineData(0)]
    [InlineData(65)]
    public void A_number_of_devices_that_no_node_has_is_refused_with_the_bounds(int given) => Assert.Contains(
        "1 to 64",
        Assert.Throws<UsageException>(() => EngineValues.Devices("cuda", given, () => 2)).Message,
        StringComparison.Ordinal);

    [Fact]
    public void Cpu_needs_no_driver() =>
        Assert.Equal("cpu", EngineValues.Device("cpu", 4, () => throw new InvalidOperationException("was asked")));

    private static void ReadLocal(string[] words)
    {
        var root = new RootCommand();
        var flags = LocalCommand.Configure(root);
        LocalCommand.Read(flags, root.Parse(words));
    }

    private static void ReadNode(string[] words)
    {
        var root = new RootCommand();
        var flags = new NodeFlags();
        flags.AddTo(root);
        flags.Read(root.Parse(["--seed", "127.0.0.1:5110", "--model", "none", "--insecure", .. words]));
    }

    [Theory]
    [InlineData("https://chat.example", true)]
    [InlineData("http://localhost:3000", true)]
    [InlineData("*", true)]
    [InlineData("chat.example", false)]
    [InlineData("https://chat.example/", false)]
    [InlineData("https://chat.example/path", false)]
    [InlineData("not an origin", false)]
    [InlineData("file:///a", false)]
    public void Origin_that_no_browser_would_send_is_refused(string origin, bool isRight)
    {
        var command = new Command("x");
        var flags = new HttpAccessFlags();
        flags.AddTo(command);
        var parsed = command.Parse(["--allow-origin", origin]);

        if (isRight) Assert.Equal([origin], flags.Read(parsed).Origins);
        else Assert.Contains(origin, Assert.Throws<UsageException>(() => flags.Read(parsed)).Message);
    }
}
