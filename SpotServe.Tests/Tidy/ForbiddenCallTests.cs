using System.Text.RegularExpressions;
using Xunit;

namespace SpotServe.Tests.Tidy;

/// <summary>
/// Time and chance are injected (TimeProvider, a seeded Random), and no thread waits for a task. An exception is a line
/// in <see cref="Allowed"/> with its reason.
/// </summary>
public sealed partial class ForbiddenCallTests
{
    /// <summary>File, text of the allowed line, reason. Keep it short.</summary>
    private static readonly (string File, string Text, string Reason)[] Allowed =
    [
        ("SpotServe.Node/Engine/Bench/InProcessReplica.cs", "_started.Wait()", "A thread that has nothing to do."),
        ("SpotServe.Node/Engine/Bench/InProcessReplica.cs", ".Wait(StepMax)", "The benchmark waits for a rank's step."),
        ("SpotServe.Node/Engine/Cuda/CopySlot.cs", ".Wait(FreeMax)", "A thread that copies waits for pinned memory."),
    ];

    [Fact]
    public void Product_code_takes_time_and_chance_from_outside_and_never_blocks() =>
        Violations.AreNone(InProductCode().Where(IsNotAllowed));

    [Fact]
    public void Tests_wait_for_events_and_never_for_time_to_pass() =>
        Violations.AreNone(InTestCode().Where(IsNotAllowed));

    [Fact]
    public void Every_allowed_exception_is_still_needed_and_has_a_reason()
    {
        var found = InProductCode().Concat(InTestCode()).ToArray();

        Assert.All(Allowed, allowed =>
        {
            Assert.Contains(found, place => Covers(allowed, place));
            Assert.NotEmpty(allowed.Reason);
        });
    }

    private static IEnumerable<string> InProductCode() =>
        SourceFile.Product.SelectMany(file => file.Find(InProduct()));

    private static IEnumerable<string> InTestCode() => SourceFile.Tests.SelectMany(file => file.Find(InTests()));

    private static bool IsNotAllowed(string place) => !Allowed.Any(allowed => Covers(allowed, place));

    private static bool Covers((string File, string Text, string Reason) allowed, string place) =>
        place.StartsWith(allowed.File + ":", StringComparison.Ordinal) &&
        place.Contains(allowed.Text, StringComparison.Ordinal);

    [GeneratedRegex(
        @"\bDateTime(Offset)?\.(UtcNow|Now|Today)\b|\bTask\.Delay\b|\bThread\.Sleep\b|\bRandom\.Shared\b|" +
        @"\bnew Random\(\)|\.Result\b(?!\w*\()|(?<!\bMonitor)\.Wait\(|\.WaitAll\(|\.GetAwaiter\(\)\.GetResult\(\)")]
    private static partial Regex InProduct();

    [GeneratedRegex(@"\bTask\.Delay\b|\bThread\.Sleep\b|\bSpinWait\.|\bnew Random\(\)|\bRandom\.Shared\b")]
    private static partial Regex InTests();
}
