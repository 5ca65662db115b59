using Xunit;

namespace SpotServe.Tests.Tidy;

internal static class Violations
{
    /// <summary>Fails with all of them, each on a line: Assert.Empty shows only the first few.</summary>
    public static void AreNone(IEnumerable<string> found)
    {
        var all = found.ToArray();
        Assert.True(all.Length == 0, $"{all.Length} violations:\n{string.Join('\n', all)}");
    }
}
