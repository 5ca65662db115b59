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
