using System.Text.RegularExpressions;

namespace SpotServe.Tests.Tidy;

/// <summary>A text file of the checkout.</summary>
/// <param name="Path">Relative to the checkout, with forward slashes.</param>
internal sealed partial record SourceFile(string Path, string[] Lines)
{
    private static readonly string[] Skipped =
        ["bin", "obj", "data", ".git", "TestResults", "BenchmarkDotNet.Artifacts"];

    private static readonly string[] Projects = ["SpotServe.Actors", "SpotServe.Node", "SpotServe.Seed"];

    /// <summary>Files below a folder of the checkout with one of these extensions.</summary>
    public static IEnumerable<SourceFile> Below(string folder, params string[] extensions)
    {
        var root = System.IO.Path.Combine(Checkout.Root, folder);
        if (!Directory.Exists(root)) return [];
        return Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories)
            .Select(path => System.IO.Path.GetRelativePath(Checkout.Root, path).Replace('\\', '/'))
            .Where(path => extensions.Contains(System.IO.Path.GetExtension(path)))
            .Where(path => !path.Split('/').Any(Skipped.Contains))
            .Order(StringComparer.Ordinal)
            .Select(path => new SourceFile(path, File.ReadAllLines(System.IO.Path.Combine(Checkout.Root, path))));
    }

    public static IEnumerable<SourceFile> Product =>
        Projects.SelectMany(folder => Below(folder, ".cs"));

    public static IEnumerable<SourceFile> Tests => Below("SpotServe.Tests", ".cs");

    /// <summary>Where the pattern is found outside of comments and strings: "path:line: text".</summary>
    public IEnumerable<string> Find(Regex pattern) => Lines
        .Select((line, index) => (Code: CodeOf(line), Line: line, Number: index + 1))
        .Where(l => pattern.IsMatch(l.Code))
        .Select(l => $"{Path}:{l.Number}: {l.Line.Trim()}");

    private static string CodeOf(string line)
    {
        var withoutText = TextLiteral().Replace(line, "\"\"");
        var comment = withoutText.IndexOf("//", StringComparison.Ordinal);
        return comment < 0 ? withoutText : withoutText[..comment];
    }

    [GeneratedRegex("""
        "(\\.|[^"\\])*"
        """, RegexOptions.IgnorePatternWhitespace)]
    private static partial Regex TextLiteral();
}
