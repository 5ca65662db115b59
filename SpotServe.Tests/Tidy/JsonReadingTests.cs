using System.Text.RegularExpressions;
using Xunit;

namespace SpotServe.Tests.Tidy;

/// <summary>
/// JSON from outside has one way in, JsonTexts: elsewhere, a text or a name that holds half of a surrogate pair would
/// be an error that nobody expects, wherever it happens to be read.
/// </summary>
public sealed partial class JsonReadingTests
{
    private const string TheWay = "SpotServe.Actors/ModelFolder/JsonTexts.cs";

    /// <summary>A literal of the code's own.</summary>
    private const string Literal = "JsonDocument.Parse(\"{}\")";

    [Fact]
    public void Json_is_parsed_and_its_texts_are_read_in_one_place() =>
        Violations.AreNone(SourceFile.Product.Where(file => file.Path != TheWay)
            .SelectMany(file => file.Find(Reading()))
            .Where(place => !place.Contains(Literal, StringComparison.Ordinal)));

    [Fact]
    public void That_place_does_both() => Assert.Equal(
        2, SourceFile.Product.Single(file => file.Path == TheWay).Find(Reading())
            .Select(place => Reading().Match(place).Value).Distinct().Count());

    [GeneratedRegex(@"\bJson(Document|Node)\.Parse\(|\.GetString\(\)")]
    private static partial Regex Reading();
}
