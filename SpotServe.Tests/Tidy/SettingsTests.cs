using System.Text.RegularExpressions;
using Akka.Configuration;
using Xunit;

namespace SpotServe.Tests.Tidy;

public sealed partial class SettingsTests
{
    public static TheoryData<string> Files =>
        [.. SourceFile.Below("hocon", ".conf").Select(file => file.Path)];

    [Theory]
    [MemberData(nameof(Files))]
    public void Every_setting_has_a_comment_above_it_with_its_reason(string path)
    {
        var lines = SourceFile.Below("hocon", ".conf").Single(file => file.Path == path).Lines;

        var bare = lines
            .Select((line, index) => (Text: line, Number: index + 1, Above: index == 0 ? "" : lines[index - 1].Trim()))
            .Where(l => Setting().IsMatch(l.Text) && !l.Above.StartsWith('#'))
            .Select(l => $"{path}:{l.Number}: {l.Text.Trim()}");

        Violations.AreNone(bare);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Settings_can_be_parsed(string path) =>
        Assert.NotNull(ConfigurationFactory.ParseString(File.ReadAllText(Path.Combine(Checkout.Root, path))));

    // A line that gives a value; one that only opens a section needs no reason.
    [GeneratedRegex(@"^\s*[^#\s][^#]*[=:](?!\s*\{\s*$)")]
    private static partial Regex Setting();
}
