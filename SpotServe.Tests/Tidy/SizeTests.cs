using System.Text.RegularExpressions;
using Xunit;

namespace SpotServe.Tests.Tidy;

public sealed partial class SizeTests
{
    private const int FileLinesMax = 400;
    private const int PlannerLinesMax = 250;
    private const int MethodLinesMax = 70;
    private const int ColumnsMax = 120;

    private static IEnumerable<SourceFile> All => SourceFile.Product.Concat(SourceFile.Tests);

    private static IEnumerable<SourceFile> Kernels =>
        SourceFile.Below("SpotServe.Node", ".cuh").Concat(SourceFile.Below("SpotServe.Node", ".cu"));

    [Fact]
    public void Files_have_at_most_400_lines() =>
        Violations.AreNone(
            All.Where(f => f.Lines.Length > FileLinesMax).Select(f => $"{f.Path}: {f.Lines.Length} lines"));

    /// <summary>The planner's shell, its core and its phases: each is to be read in one go.</summary>
    [Fact]
    public void Files_of_the_planner_have_at_most_250_lines() =>
        Violations.AreNone(SourceFile.Below("SpotServe.Actors/Planner", ".cs")
            .Where(f => f.Lines.Length > PlannerLinesMax).Select(f => $"{f.Path}: {f.Lines.Length} lines"));

    [Fact]
    public void Lines_have_at_most_120_columns() =>
        Violations.AreNone(All.Concat(SourceFile.Below("hocon", ".conf")).Concat(Kernels).SelectMany(file => file.Lines
            .Select((line, index) => (Text: line, Number: index + 1))
            .Where(l => l.Text.Length > ColumnsMax)
            .Select(l => $"{file.Path}:{l.Number}: {l.Text.Length} columns")));

    [Fact]
    public void Methods_fit_a_screen_of_70_lines() => Violations.AreNone(All.SelectMany(LongMethods));

    [Fact]
    public void Nothing_is_left_to_do_in_comments() =>
        Violations.AreNone(All.Concat(SourceFile.Below("hocon", ".conf")).SelectMany(file => file.Lines
            .Select((line, index) => (Text: line, Number: index + 1))
            .Where(l => Unfinished().IsMatch(l.Text))
            .Select(l => $"{file.Path}:{l.Number}: {l.Text.Trim()}")));

    // The formatter puts a body's braces on lines of their own, below a line that ends the parameter list (or the
    // constraints), and both at the indentation of the member. That is enough to find bodies without a parser.
    private static IEnumerable<string> LongMethods(SourceFile file)
    {
        for (var i = 1; i < file.Lines.Length; i++)
        {
            if (!Opening().IsMatch(file.Lines[i]) || !SignatureEnd().IsMatch(file.Lines[i - 1])) continue;
            var closing = file.Lines[i].Replace('{', '}');
            // An initializer ends with more behind its brace.
            var end = Array.FindIndex(file.Lines, i, line => line.StartsWith(closing, StringComparison.Ordinal));
            if (end - i - 1 > MethodLinesMax)
                yield return $"{file.Path}:{i}: {file.Lines[i - 1].Trim()} has {end - i - 1} lines";
        }
    }

    [GeneratedRegex(@"^ {4}( {4})?\{$")]
    private static partial Regex Opening();

    [GeneratedRegex(@"\)$|\bwhere\b.*$|\bget$|\bset$|\binit$")]
    private static partial Regex SignatureEnd();

    [GeneratedRegex(@"\b(TO" + @"DO|FIX" + @"ME|XX" + @"X)\b")]
    private static partial Regex Unfinished();
}
