using Xunit;

namespace SpotServe.Tests.Golden;

/// <summary>Finds files of the checkout, and of the optional folder "shared" beside it.</summary>
internal static class Checkout
{
    /// <summary>The folder with the solution.</summary>
    public static string Root { get; } = Ancestors()
        .FirstOrDefault(folder => File.Exists(Path.Combine(folder, "SpotServe.sln")))
        ?? throw new InvalidOperationException($"No SpotServe.sln above {AppContext.BaseDirectory}.");

    public static string Of(params ReadOnlySpan<string> parts) => Path.Combine([Root, .. parts]);

    /// <summary>A path below the shared folder; skips the test where there is none.</summary>
    public static string Shared(params ReadOnlySpan<string> parts)
    {
        var shared = Ancestors().Select(folder => Path.Combine(folder, "shared")).FirstOrDefault(Directory.Exists);
        if (shared is null) Assert.Skip("There is no folder \"shared\" beside the checkout.");
        var path = Path.Combine([shared, .. parts]);
        if (!Path.Exists(path)) Assert.Skip($"The shared folder has no {string.Join('/', parts)}.");
        return path;
    }

    private static IEnumerable<string> Ancestors()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            yield return folder.FullName;
    }
}
